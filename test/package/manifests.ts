/** The manifests of `examples/`, parsed; what the tests need to know of their shape. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

export const root: string = join(import.meta.dirname, '../..')

interface Port {
  name: string
  port: number
  containerPort: number
  targetPort: string
}

interface Selector {
  matchLabels: Record<string, string>
}

export interface Container {
  workingDir: string
  command: string[]
  ports: Port[]
  env: { name: string; value?: string; valueFrom?: { fieldRef: { fieldPath: string } } }[]
  volumeMounts: { name: string; mountPath: string }[]
  readinessProbe: { httpGet: { path: string; port: string } }
  livenessProbe?: unknown
  lifecycle: { preStop: { exec: { command: string[] } } }
}

/** The union of what the kinds have; each test reads what its kind has. */
export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string }
  spec: {
    serviceName: string
    replicas: number
    minReadySeconds: number
    selector: Selector & Record<string, string>
    template: {
      metadata: { labels: Record<string, string> }
      spec: {
        terminationGracePeriodSeconds: number
        containers: [Container]
        volumes: { name: string; secret: { secretName: string } }[]
        topologySpreadConstraints: { labelSelector: Selector }[]
      }
    }
    clusterIP: string
    publishNotReadyAddresses: boolean
    ports: Port[]
    podSelector: Selector
    ingress: { from?: { podSelector: Selector }[]; ports: { port: string }[] }[]
    maxUnavailable: number
  }
}

export interface Compose {
  services: Record<
    string,
    {
      image: string
      command: string[]
      working_dir: string
      volumes: string[]
      environment: Record<string, string>
      networks: { default: { aliases: string[] } }
      secrets: string[]
      stop_grace_period: string
      healthcheck: { test: string[] }
      ports: string[]
      depends_on: Record<string, { condition: string }>
    }
  >
  secrets: Record<string, unknown>
}

export function readKubernetes(): (kind: string, name: string) => Manifest {
  const documents = parseAllDocuments(readFileSync(join(root, 'examples/kubernetes/shop.yaml'), 'utf8'), {
    strict: true,
  })
  const manifests = documents.map((document) => {
    if (document.errors.length > 0) throw document.errors[0]
    return document.toJS() as Manifest
  })
  return (kind, name) => {
    const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name)
    if (found.length !== 1) throw new Error(`there are ${found.length} of kind ${kind} named ${name}`)
    return found[0] as Manifest
  }
}

export function readCompose(): Compose {
  return parse(readFileSync(join(root, 'examples/compose.yaml'), 'utf8'), { merge: true, strict: true }) as Compose
}

/** The environment of one pod, as Kubernetes makes it: `$(NAME)` stands for a variable before. */
export function environmentOf({ env }: Container, pod: string): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const { name, value, valueFrom } of env) {
    const field = valueFrom?.fieldRef.fieldPath
    if (field !== undefined && field !== 'metadata.name') throw new Error(`the test knows no ${field}`)
    variables[name] =
      field === undefined ? (value ?? '').replaceAll(/\$\((\w+)\)/g, (_, other) => variables[other] ?? '') : pod
  }
  return variables
}
