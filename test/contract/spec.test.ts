import { describe, expect, test } from 'vitest'
import { BASE_PATH, contracts } from '#src/contracts.ts'
import {
  allSchemas,
  document,
  type JsonSchema,
  type Operation,
  operations,
  resolved,
  validatorOf,
} from '#test/support/published-spec.ts'
import { readSourceFiles } from '#test/support/source-files.ts'
import { startApi } from '#test/support/start-api.ts'
import { printedSpec, savedSpec } from '../../openapi/print.ts'

const isPublic = (operation: Operation) => operation['x-scope'] === 'public'

describe('the published spec is the code', () => {
  test('openapi.json is what the contracts print', () => {
    expect(savedSpec() === printedSpec(), 'openapi/openapi.json is out of date: run `npm run openapi`').toBe(true)
  })

  test('every contract is mounted, and nothing else is', async () => {
    const { api } = await startApi()
    const mounted = api.app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`)
    const declared = contracts.map(({ method, path, isAtRoot }) => {
      const whole = isAtRoot ? path : BASE_PATH + path
      return `${method.toUpperCase()} ${whole.replaceAll(/\{(\w+)\}/g, ':$1')}`
    })

    expect([...new Set(mounted)].toSorted()).toEqual(declared.toSorted())
  })

  test('every contract is published', () => {
    expect(operations.map((o) => o.operationId).toSorted()).toEqual(contracts.map((c) => c.operationId).toSorted())
  })
})

describe('every operation', () => {
  test('has a name of its own, in camelCase, that begins with a verb of ours', () => {
    const names = operations.map((o) => o.operationId)

    expect(names.filter((name) => !/^[a-z]+([A-Z][a-z]+)*$/.test(name))).toEqual([])
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  })

  test('has one tag, and every tag is declared with a description and used', () => {
    const declared = document.tags.filter(({ description }) => description).map(({ name }) => name)

    expect(wrong((o) => o.tags.length !== 1)).toEqual([])
    expect([...new Set(operations.flatMap((o) => o.tags))].toSorted()).toEqual(declared.toSorted())
    expect(declared.length).toBe(document.tags.length)
  })

  test('has a summary: one line, a capital at its start, no full stop', () => {
    expect(wrong((o) => !/^[A-Z][^\n]{5,90}[^.\n]$/.test(o.summary ?? ''))).toEqual([])
  })

  test('asks for an API key exactly when it is not public', () => {
    expect(Object.keys(document.components.securitySchemes)).toEqual(['apiKey', 'streamTicket'])
    const opening = (o: Operation) =>
      o.security.flatMap((scheme) => Object.keys(scheme)).filter((s) => s !== 'streamTicket')
    expect(wrong((o) => opening(o).join() !== (isPublic(o) ? '' : 'apiKey'))).toEqual([])
  })

  test('takes a ticket in the place of a key only where a browser follows events', () => {
    const taking = operations.filter(takesTicket)
    expect(taking.map((o) => o.operationId)).toEqual(['followExecution'])
    expect(taking.every((o) => takes(o, 'ticket'))).toBe(true)
    expect(operations.filter((o) => takes(o, 'ticket'))).toEqual(taking)
  })

  test('tells the scope it needs', () => {
    const scopes = ['public', 'any', 'read', 'write', 'execute', 'admin', 'super_admin']
    expect(wrong((o) => !scopes.includes(o['x-scope']))).toEqual([])
  })

  test('is public only where that is meant', () => {
    expect(operations.filter(isPublic).map((o) => o.operationId)).toEqual([
      'acceptInvitation',
      'getHealth',
      'getReadiness',
      'getRootHealth',
      'getRootReadiness',
      'getDocs',
      'getDocsAsset',
      'getOpenApi',
    ])
  })

  test('documents the errors that follow from its form', () => {
    const missing = operations.flatMap((operation) => {
      const documented = Object.values(operation.responses).map(({ description }) => description)
      const codes = impliedCodes(operation).filter((code) => !documented.some((text) => text.includes(`\`${code}\``)))
      return codes.map((code) => `${operation.operationId} lacks ${code}`)
    })
    expect(missing).toEqual([])
  })

  test('answers errors in the one form; only readiness has another', () => {
    const odd = operations.flatMap(({ operationId, responses }) =>
      Object.entries(responses)
        .filter(([status]) => Number(status) >= 400)
        .filter(([, { content }]) => content?.['application/json']?.schema.$ref !== '#/components/schemas/Error')
        .map(([status]) => `${operationId} ${status}`),
    )
    expect(odd).toEqual(['getReadiness 503', 'getRootReadiness 503'])
  })

  test('has an answer for success, and describes every answer', () => {
    expect(wrong((o) => !Object.keys(o.responses).some((status) => /^2\d\d$/.test(status)))).toEqual([])
    expect(wrong((o) => Object.values(o.responses).some(({ description }) => !description))).toEqual([])
    expect(wrong((o) => o.responses['204']?.content !== undefined)).toEqual([])
  })

  test('declares each parameter of its path once, and no other', () => {
    const odd = wrong(({ path, parameters = [] }) => {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1])
      const declared = parameters.filter((p) => p.in === 'path' && p.required === true).map((p) => p.name)
      return JSON.stringify(inPath.toSorted()) !== JSON.stringify(declared.toSorted())
    })
    expect(odd).toEqual([])
  })

  test('requires its body and refuses unknown fields in it', () => {
    const withBody = operations.filter((o) => o.requestBody)

    expect(withBody.length).toBeGreaterThan(5)
    const optional = withBody.filter((o) => o.requestBody?.required !== true)
    expect(optional.map((o) => o.operationId)).toEqual(['executeDag', 'resumeExecution'])
    expect(optional.filter((o) => bodiesOf(o).some(({ required = [] }) => required.length > 0))).toEqual([])
    expect(withBody.filter((o) => !bodiesOf(o).every(refusesUnknown)).map((o) => o.operationId)).toEqual([])
  })

  test('takes no body where HTTP gives it no meaning', () => {
    expect(wrong((o) => ['get', 'head', 'delete'].includes(o.method) && o.requestBody !== undefined)).toEqual([])
  })

  test('is a list exactly when it pages', () => {
    const pages = operations.filter(({ responses }) => {
      const answer = responses['200']?.content?.['application/json']?.schema
      return answer && 'pagination' in (resolved(answer).properties ?? {})
    })
    const takesPages = operations.filter(({ parameters = [] }) => parameters.some(({ name }) => name === 'cursor'))

    expect(pages.length).toBeGreaterThan(3)
    expect(takesPages.map((o) => o.operationId)).toEqual(pages.map((o) => o.operationId))
    const lacking = takesPages.filter((o) => !['limit', 'offset', 'includeTotal'].every((name) => takes(o, name)))
    expect(lacking.map((o) => o.operationId)).toEqual(['followExecution']) // `after` is what it has for an offset
  })
})

describe('every schema', () => {
  const schemas = allSchemas()

  test('is JSON Schema that a validator understands, and points only at what is there', () => {
    const tops = [...new Set(schemas.map(({ schema }) => schema))]
    expect(tops.length).toBeGreaterThan(300)
    for (const { at, schema } of schemas) expect(() => validatorOf(schema), at).not.toThrow()
  })

  test('can be satisfied where it is nullable: no allOf of a shape and null', () => {
    const nullable = (schema: JsonSchema) => Array.isArray(schema.type) && schema.type.includes('null')
    expect(places(({ allOf = [] }) => allOf.some(nullable))).toEqual([])
  })

  test('has a shape, unless it stands for whatever a tenant, tool or model gave', () => {
    const isFree = (schema: JsonSchema) =>
      !['$ref', 'type', 'enum', 'const', 'allOf', 'anyOf', 'oneOf'].some((keyword) => keyword in schema)
    expect(places(isFree)).toEqual([
      'Agent.metadata{}',
      'CreateAgent.metadata{}',
      'DecomposerJob.sub_tasks[].tool_or_prompt.params{}',
      'Error.details{}',
      'ExecuteDefinition.definition{}',
      'SubStep.result',
      'SubStep.toolArguments{}',
      'SubStep.toolOrPromptParams{}',
      'Tool.parameters{}',
      'UpdateAgent.metadata{}',
      'UpdateDag.plan{}',
      'getOpenApi 200{}',
    ])
  })

  test('requires only fields it has', () => {
    expect(places(({ required = [], properties = {} }) => required.some((name) => !(name in properties)))).toEqual([])
  })

  test('says a yes or no without null, which z.coerce.boolean() would add', () => {
    expect(places(({ type }) => Array.isArray(type) && type.includes('boolean'))).toEqual([])
  })

  test('is not made in a way that zod-openapi is known to document wrongly', () => {
    // Of several literals it documents the first, z.json() overflows its stack, `.meta({ id })` makes a component unasked.
    const traps = readSourceFiles('src').filter(({ text }) => /z\.(literal\(\[|json\(\))|\.meta\(\{ id/.test(text))
    expect(traps.map(({ path }) => path)).toEqual([])
  })

  test('has numbers with bounds where a caller sends them', () => {
    const unbounded = operations.flatMap(({ operationId, parameters = [] }) =>
      parameters
        .filter(({ schema }) => ['integer', 'number'].includes(String(schema.type)))
        .filter(({ schema }) => schema.maximum === undefined || schema.minimum === undefined)
        .map(({ name }) => `${operationId} ${name}`),
    )
    expect(unbounded).toEqual([])
  })

  test('has examples that it accepts', () => {
    const withExample = schemas.filter(({ schema }) => schema.example !== undefined)

    expect(withExample.length).toBeGreaterThan(0)
    for (const { at, schema } of withExample) {
      expect(validatorOf(schema).safeParse(schema.example).success, at).toBe(true)
    }
  })

  test('has defaults that it accepts', () => {
    for (const { at, schema } of schemas.filter(({ schema }) => schema.default !== undefined)) {
      expect(validatorOf({ ...schema, default: undefined }).safeParse(schema.default).success, at).toBe(true)
    }
  })
})

function wrong(isWrong: (operation: Operation) => boolean): string[] {
  return operations.filter(isWrong).map((operation) => operation.operationId)
}

function places(isWrong: (schema: JsonSchema) => boolean): string[] {
  const found = allSchemas().filter(({ schema }) => isWrong(schema))
  return [...new Set(found.map(({ at }) => at))].toSorted()
}

function takes({ parameters = [] }: Operation, name: string): boolean {
  return parameters.some((parameter) => parameter.name === name)
}

function takesTicket({ security }: Operation): boolean {
  return security.some((scheme) => 'streamTicket' in scheme)
}

function bodiesOf({ requestBody }: Operation): JsonSchema[] {
  return Object.values(requestBody?.content ?? {}).map(({ schema }) => resolved(schema))
}

function refusesUnknown(schema: JsonSchema): boolean {
  const branches = schema.anyOf ?? schema.oneOf
  return branches ? branches.map(resolved).every(refusesUnknown) : schema.additionalProperties === false
}

function impliedCodes(operation: Operation): string[] {
  const codes = ['internal_error', 'server_stopping']
  if (!isPublic(operation)) codes.push('unauthenticated', 'invalid_api_key', 'rate_limited')
  if (!['public', 'any'].includes(operation['x-scope'])) codes.push('insufficient_scope')
  if (!isPublic(operation) && operation['x-scope'] !== 'super_admin') codes.push('tenant_suspended')
  if (operation.parameters || operation.requestBody) codes.push('validation_failed')
  if (takesTicket(operation)) codes.push('invalid_ticket')
  if (operation.requestBody) codes.push('malformed_json', 'payload_too_large', 'unsupported_media_type')
  if (takes(operation, 'idempotency-key')) codes.push('idempotency_key_reused', 'idempotency_in_progress')
  return codes
}
