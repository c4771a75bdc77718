/** Certificates that openssl makes for a test. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MeshCertificates } from '../../../../src/stores/mesh/wire/security.ts'
import { removeFolder, temporaryFolder } from '../../../support/folders.ts'
import { needs } from '../../../support/programs.ts'

export const withoutOpenssl: string | false = needs('openssl')

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** One for localhost and 127.0.0.1 that signs itself. */
export function makeCertificate(): { key: string; cert: string } {
  return inFolder((openssl, read) => {
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
    openssl('req', '-x509', ...NEW_KEY, '-days', '2', ...names, '-keyout', 'key.pem', '-out', 'cert.pem')
    return { key: read('key.pem'), cert: read('cert.pem') }
  })
}

/** Certificates of so many nodes that one authority signed. They name no address. */
export function makeFleetCertificates(count: number): MeshCertificates[] {
  return inFolder((openssl, read, write) => {
    openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-subj', '/CN=fleet', '-keyout', 'ca.key', '-out', 'ca.pem')
    write('extensions', 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n')
    const ca = read('ca.pem')
    return Array.from({ length: count }, (_, index) => {
      openssl('req', '-new', ...NEW_KEY, '-subj', `/CN=node-${index}`, '-keyout', 'key.pem', '-out', 'request.pem')
      const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'extensions', '-days', '2']
      openssl('x509', '-req', '-in', 'request.pem', ...signing, '-out', 'cert.pem')
      return { cert: read('cert.pem'), key: read('key.pem'), ca }
    })
  })
}

function inFolder<T>(
  make: (
    openssl: (...args: string[]) => void,
    read: (name: string) => string,
    write: (name: string, text: string) => void,
  ) => T,
): T {
  const folder = temporaryFolder()
  try {
    return make(
      (...args) => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' }),
      (name) => readFileSync(join(folder, name), 'utf8'),
      (name, text) => writeFileSync(join(folder, name), text),
    )
  } finally {
    removeFolder(folder)
  }
}
