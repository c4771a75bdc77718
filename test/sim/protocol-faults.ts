import { FAULTS_OF_KEYS } from './faults-of-keys.ts'
import { FAULTS_OF_RECORDS } from './faults-of-records.ts'
import { FAULTS_OF_VIEWS } from './faults-of-views.ts'
import type { ProtocolFault } from './mutant.ts'

/** What the simulator must find: each breaks a law, or the fleet's coming together, in one of 200 seeds. */
export const PROTOCOL_FAULTS: readonly ProtocolFault[] = [...FAULTS_OF_KEYS, ...FAULTS_OF_RECORDS, ...FAULTS_OF_VIEWS]
