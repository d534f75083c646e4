import { expect, test } from 'vitest'
import { findReasons, type ServerSettings } from '../../../src/postgres/assertions.ts'

const good: ServerSettings = {
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  server_encoding: 'UTF8',
  server_version: '15.0',
  version_num: 150_000,
  in_recovery: false,
  read_only: false,
}

test('accepts the oldest supported version', () => {
  expect(findReasons(good)).toEqual([])
})

test('refuses an older version', () => {
  expect(findReasons({ ...good, server_version: '14.9', version_num: 140_009 })).toEqual([
    'it is version 14.9: 15 or newer is needed',
  ])
})

test('refuses a standby', () => {
  expect(findReasons({ ...good, in_recovery: true })).toEqual(['it is a standby (in recovery): connect to the primary'])
})

test('refuses sessions that may only read', () => {
  expect(findReasons({ ...good, read_only: true })).toEqual([
    expect.stringMatching(/^it is read-only: default_transaction_read_only is on/),
  ])
})
