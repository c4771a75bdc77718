import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { removeFolder, temporaryFolder } from './folders.ts'
import { findCommand, needs, program } from './programs.ts'

describe('a program that a test needs', () => {
  const { PATH, CI } = process.env
  const folder = temporaryFolder()
  before(() => {
    process.env['PATH'] = folder
  })
  beforeEach(() => {
    process.env['CI'] = 'false'
  })
  after(() => {
    process.env['PATH'] = PATH
    if (CI === undefined) delete process.env['CI']
    else process.env['CI'] = CI
    removeFolder(folder)
  })

  test('is found under another of its names', () => {
    const path = join(folder, 'google-chrome')
    writeFileSync(path, '#!/bin/sh\n')
    chmodSync(path, 0o755)
    assert.equal(program('chromium'), path)
    assert.equal(needs('chromium'), false)
  })

  test('is not a file that cannot be run', () => {
    writeFileSync(join(folder, 'redis-server'), 'text')
    chmodSync(join(folder, 'redis-server'), 0o644)
    assert.equal(findCommand('redis-server'), undefined)
  })

  test('skips the test with what to install where it is missing', () => {
    assert.equal(needs('redis-server'), 'needs redis-server (apt-get install redis-server)')
    assert.throws(() => program('redis-server'), /apt-get install redis-server/)
  })

  test('fails the test where it is missing and CI=true', () => {
    process.env['CI'] = 'true'
    assert.throws(() => needs('redis-server'), /needs redis-server/)
  })
})
