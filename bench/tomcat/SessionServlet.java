import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.Collections;
import java.util.concurrent.atomic.AtomicLong;

/** The requests of bench/replication/requests.ts, as bench/apps/mesh-node.ts answers them. */
public final class SessionServlet extends HttpServlet {
  private static final int FIELDS = 20;
  private static final int FIELD_BYTES = 200;
  private static final AtomicLong written = new AtomicLong();

  @Override
  protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
    response.setContentType("text/plain");
    response.getWriter().print(answer(request));
  }

  private static String answer(HttpServletRequest request) {
    String path = request.getServletPath();
    if (path.equals("/heap")) return Long.toString(heapBytes());
    HttpSession session = request.getSession(path.equals("/login"));
    if (session == null) return "no session";
    String field = "a" + request.getParameter("k");
    switch (path) {
      case "/login":
        for (int index = 0; index < FIELDS; index++) session.setAttribute("a" + index, value("0"));
        return session.getId();
      case "/touch":
        String text = request.getParameter("v");
        text = text == null ? Long.toString(written.incrementAndGet()) : text;
        session.setAttribute(field, value(text));
        return text;
      case "/get":
        Object held = session.getAttribute(field);
        return held == null ? "nothing" : held.toString().trim();
      case "/inc":
        synchronized (session) {
          Integer before = (Integer) session.getAttribute("n");
          Integer after = before == null ? 1 : before + 1;
          session.setAttribute("n", after);
          return after.toString();
        }
      case "/count":
        Object count = session.getAttribute("n");
        return count == null ? "0" : count.toString();
      case "/fields":
        return Long.toString(Collections.list(session.getAttributeNames()).stream().filter((name) -> name.startsWith("a")).count());
      default:
        return "no such request";
    }
  }

  private static String value(String text) {
    return text + " ".repeat(FIELD_BYTES - text.length());
  }

  private static long heapBytes() {
    for (int round = 0; round < 4; round++) System.gc();
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }
}
