import { createRequire } from 'node:module'
import type express from 'express'
import { proveAdapter } from './contract.ts'
import { expressFramework } from './express-app.ts'

const express4 = createRequire(import.meta.url)('express4') as typeof express

proveAdapter(expressFramework('Express 4', express4, { catches: false }))
