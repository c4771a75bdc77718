import express from 'express'
import { proveAdapter } from './contract.ts'
import { expressFramework } from './express-app.ts'

proveAdapter(expressFramework('Express 5', express, { catches: true }))
