import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { DEFAULT_PORT } from '../../src/stores/mesh/policy.ts'
import { environmentOf, readCompose, readKubernetes, root } from './manifests.ts'

const server = readFileSync(join(root, 'examples/mesh.ts'), 'utf8')
const readme = readFileSync(join(root, 'examples/kubernetes/README.md'), 'utf8')

suite('examples/kubernetes/shop.yaml', () => {
  const find = readKubernetes()
  const workload = find('StatefulSet', 'shop')
  const { template } = workload.spec
  const [container] = template.spec.containers
  const { labels } = template.metadata

  test('every selector finds the pods', () => {
    const selectors = [
      workload.spec.selector.matchLabels,
      find('Service', 'shop').spec.selector,
      find('Service', 'shop-mesh').spec.selector,
      find('NetworkPolicy', 'shop').spec.podSelector.matchLabels,
      find('NetworkPolicy', 'shop').spec.ingress[0]?.from?.[0]?.podSelector.matchLabels,
      find('PodDisruptionBudget', 'shop').spec.selector.matchLabels,
      template.spec.topologySpreadConstraints[0]?.labelSelector.matchLabels,
    ]
    for (const selector of selectors) assert.deepEqual(selector, labels)
  })

  test('the headless service is the one of the pods, and tells of those that are not ready', () => {
    const { name, spec } = { ...find('Service', workload.spec.serviceName), name: workload.spec.serviceName }
    assert.deepEqual([spec.clusterIP, spec.publishNotReadyAddresses], ['None', true])
    const env = environmentOf(container, 'shop-0')
    assert.equal(env['MESH_PEERS'], name)
    assert.equal(env['MESH_NAME'], `shop-0.${name}`)
  })

  test('the ports are those of the server, by one name everywhere', () => {
    const portOf = (name: string): number | undefined =>
      container.ports.find((port) => port.name === name)?.containerPort
    assert.equal(portOf('mesh'), DEFAULT_PORT)
    assert.equal(String(portOf('mesh')), defaultOf('MESH_PORT'))
    assert.equal(String(portOf('http')), defaultOf('PORT'))
    assert.deepEqual(find('Service', 'shop-mesh').spec.ports, [
      { name: 'mesh', port: DEFAULT_PORT, targetPort: 'mesh' },
    ])
    assert.deepEqual(find('Service', 'shop').spec.ports, [{ name: 'http', port: 80, targetPort: 'http' }])
    assert.equal(container.readinessProbe.httpGet.port, 'http')
  })

  test('the mesh is open to the pods alone, and the server to everybody', () => {
    const [mesh, http, ...others] = find('NetworkPolicy', 'shop').spec.ingress
    assert.deepEqual(
      [
        mesh?.from?.length,
        mesh?.ports.map(({ port }) => port),
        http?.from,
        http?.ports.map(({ port }) => port),
        others,
      ],
      [1, ['mesh'], undefined, ['http'], []],
    )
  })

  test('the server file exists and reads every variable that it is given', () => {
    assert.deepEqual(container.command, ['node', 'examples/mesh.ts'])
    assert.ok(existsSync(join(root, 'examples/mesh.ts')))
    for (const { name } of container.env) assert.ok(name === 'POD_NAME' || server.includes(name), name)
  })

  test('the secret is where the server reads it, and the README makes it', () => {
    const [volume] = template.spec.volumes
    const mount = container.volumeMounts.find(({ name }) => name === volume?.name)
    const { SESSION_SECRET_FILE: file = '' } = environmentOf(container, 'shop-0')
    assert.ok(mount && file.startsWith(`${mount.mountPath}/`), file)
    const item = file.slice(mount.mountPath.length + 1)
    assert.match(
      readme,
      new RegExp(`create secret generic ${volume?.secret.secretName} \\\\\n +--from-literal=${item}=`),
    )
  })

  test('readiness asks for the health of the sessions, and nothing restarts a node that waits', () => {
    const { path } = container.readinessProbe.httpGet
    const app = readFileSync(join(root, 'examples/express-app.ts'), 'utf8')
    assert.match(app, new RegExp(`get\\('${path}'[^}]*sessions\\.health\\(\\)`))
    assert.equal(container.livenessProbe, undefined)
  })

  test('an orderly end has its time: the pause, the answers under way and the handing over', () => {
    const [sleep, seconds] = container.lifecycle.preStop.exec.command
    assert.equal(sleep, 'sleep')
    const endMs = Number(seconds) * 1000 + constantOf('ANSWER_MS') + constantOf('CLOSE_MS')
    const graceMs = template.spec.terminationGracePeriodSeconds * 1000
    assert.ok(endMs + 5_000 <= graceMs, `${endMs} ms and a margin of 5 s in ${graceMs} ms`)
  })

  test('one pod may go at a time, of at least three', () => {
    assert.ok(workload.spec.replicas >= 3)
    assert.ok(workload.spec.minReadySeconds > 0)
    assert.equal(find('PodDisruptionBudget', 'shop').spec.maxUnavailable, 1)
  })
})

suite('examples/compose.yaml', () => {
  const { services, secrets } = readCompose()
  const { nginx, ...nodes } = services

  test('three nodes differ in their names alone, by which the others reach them', () => {
    assert.equal(Object.keys(nodes).length, 3)
    const [{ environment: first, ...rest }] = Object.values(nodes) as [(typeof nodes)[string]]
    for (const [name, node] of Object.entries(nodes)) {
      const { environment, ...others } = node
      assert.deepEqual(node, { ...rest, environment: { ...first, MESH_NAME: name } })
      assert.deepEqual(others.networks.default.aliases, [environment['MESH_PEERS']])
      assert.deepEqual(others.command, ['node', 'examples/mesh.ts'])
      for (const variable of Object.keys(environment)) assert.ok(server.includes(variable), variable)
    }
  })

  test('the secret is where the server reads it', () => {
    for (const { secrets: names, environment } of Object.values(nodes)) {
      assert.deepEqual(names, Object.keys(secrets))
      assert.equal(environment['SESSION_SECRET_FILE'], `/run/secrets/${names[0]}`)
    }
  })

  test('nginx has every node at its port, and waits until they serve', () => {
    const configuration = readFileSync(join(root, 'examples/nginx.conf'), 'utf8')
    const upstreams = [...configuration.matchAll(/^ *server (\S+):(\d+) /gm)].map(([, name, port]) => ({ name, port }))
    assert.deepEqual(
      upstreams,
      Object.keys(nodes).map((name) => ({ name, port: defaultOf('PORT') })),
    )
    assert.deepEqual(Object.keys(nginx?.depends_on ?? {}), Object.keys(nodes))
    const listens = /listen (\d+);/.exec(configuration)?.[1]
    assert.deepEqual(nginx?.ports, [`127.0.0.1:8080:${listens}`])
    assert.match(nginx?.volumes.join() ?? '', /^\.\/nginx\.conf:/)
  })

  test('an orderly end has its time, and health is asked where the server tells it', () => {
    for (const { stop_grace_period: grace, healthcheck } of Object.values(nodes)) {
      assert.ok(Number.parseInt(grace, 10) * 1000 >= constantOf('ANSWER_MS') + constantOf('CLOSE_MS') + 5_000)
      assert.ok(healthcheck.test.join().includes(`http://127.0.0.1:${defaultOf('PORT')}/healthz`))
    }
  })
})

/** The default of a variable in examples/mesh.ts. */
function defaultOf(variable: string): string | undefined {
  return new RegExp(`\\b${variable} = '([^']*)'`).exec(server)?.[1]
}

function constantOf(name: string): number {
  const text = new RegExp(`const ${name} = ([\\d_]+)`).exec(server)?.[1]
  assert.ok(text, name)
  return Number(text.replaceAll('_', ''))
}
