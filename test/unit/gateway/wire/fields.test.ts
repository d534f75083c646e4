import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { describeFault } from '../../../../src/gateway/wire/faults.ts'
import { expectedOf } from '../../../../src/gateway/wire/fields.ts'
import * as identity from '../../../../src/gateway/wire/identity.ts'
import { openApiDocument } from '../../../../src/gateway/wire/openapi.ts'
import * as rest from '../../../../src/gateway/wire/rest.ts'

const inputs = Object.entries<unknown>({ ...rest, ...identity })
  .filter(([name]) => /(Body|Query)$/.test(name))
  .map(([name, schema]) => [name, schema as z.ZodObject] as const)

describe('what is asked for', () => {
  test.each(inputs)('in %s says of each field what it must be', (_name, schema) => {
    expect(Object.keys(schema.shape)).not.toHaveLength(0)
    for (const [name, field] of Object.entries(schema.shape)) {
      expect([name, expectedOf(field)]).toEqual([name, expect.stringMatching(/^(a|an|at most|true|the) /)])
      // An object is no value of any field.
      const value = Object.fromEntries(Object.keys(schema.shape).map((one) => [one, one === name ? {} : undefined]))
      const error = z.strictObject({ [name]: field }).safeParse({ [name]: {} }).error
      expect(error && describeFault(error, schema.shape, value, 'The body').message).toBe(
        `${name} must be ${expectedOf(field)}.`,
      )
    }
  })

  test('of a text is at least one character, also by the OpenAPI document', () => {
    const text = JSON.stringify(openApiDocument())
    const body = JSON.parse(text).paths['/api/send_message'].post.requestBody.content['application/json'].schema
    expect(body.properties.content).toEqual({
      type: 'string',
      minLength: 1,
      description: 'a text of at least one character',
    })
    expect(z.toJSONSchema(rest.sendBody).properties?.['receiver_id']).toMatchObject({ description: expect.any(String) })
  })
})
