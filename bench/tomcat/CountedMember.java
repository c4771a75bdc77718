import org.apache.catalina.tribes.membership.StaticMember;

/** The node itself, under the port that the others are told: Tribes would put its own in place of it, and its answers past what counts them. */
public final class CountedMember extends StaticMember {
  @Override
  public void setPort(int port) {
    if (getPort() <= 0) super.setPort(port);
  }
}
