import { z } from 'zod'
import { printedSpec } from '../../openapi/print.ts'

export interface JsonSchema {
  [keyword: string]: unknown
  $ref?: string
  type?: string | string[]
  description?: string
  allOf?: JsonSchema[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  items?: JsonSchema
  properties?: Record<string, JsonSchema>
  required?: string[]
  additionalProperties?: boolean | JsonSchema
}

interface Media {
  schema: JsonSchema
}

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required?: boolean
  schema: JsonSchema
}

export interface Operation {
  method: string
  path: string
  operationId: string
  tags: string[]
  summary: string
  security: Record<string, string[]>[]
  'x-scope': string
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}

interface Document {
  paths: Record<string, Record<string, Operation>>
  tags: { name: string; description?: string }[]
  components: { schemas: Record<string, JsonSchema>; securitySchemes: Record<string, unknown> }
}

export const document = JSON.parse(printedSpec()) as Document

export const operations: Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ ...operation, method, path })),
)

/** The schema itself, or the component it points at. */
export function resolved(schema: JsonSchema): JsonSchema {
  const name = schema.$ref?.replace('#/components/schemas/', '')
  return name === undefined ? schema : (document.components.schemas[name] ?? {})
}

export interface Place {
  /** Where it stands, for people: `Agent.metadata`, `getMe 200`. */
  at: string
  schema: JsonSchema
}

/** Every schema of the document with all that lie inside it. */
export function allSchemas(): Place[] {
  const components = Object.entries(document.components.schemas).map(([at, schema]) => ({ at, schema }))
  return [...components, ...operations.flatMap(schemasOf)].flatMap(withInner)
}

function schemasOf({ operationId, parameters = [], requestBody, responses }: Operation): Place[] {
  const media = (at: string, content: Record<string, Media> = {}) =>
    Object.values(content).map(({ schema }) => ({ at: `${operationId} ${at}`, schema }))
  return [
    ...parameters.map(({ name, schema }) => ({ at: `${operationId} ${name}`, schema })),
    ...media('body', requestBody?.content),
    ...Object.entries(responses).flatMap(([status, { content }]) => media(status, content)),
  ]
}

function withInner({ at, schema }: Place): Place[] {
  const shapes = (schema.allOf ?? []).filter((part) => !saysOnly(part, 'description')) // a word beside a $ref
  const inner: Place[] = [
    ...[...shapes, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].map((s) => ({ at, schema: s })),
    ...Object.entries(schema.properties ?? {}).map(([name, s]) => ({ at: `${at}.${name}`, schema: s })),
    ...(schema.items ? [{ at: `${at}[]`, schema: schema.items }] : []),
    ...(typeof schema.additionalProperties === 'object'
      ? [{ at: `${at}{}`, schema: schema.additionalProperties }]
      : []),
  ]
  return [{ at, schema }, ...inner.flatMap(withInner)]
}

function saysOnly(schema: JsonSchema, keyword: string): boolean {
  return Object.keys(schema).join() === keyword
}

/**
 * A validator made from the document alone, as a client would have it.
 *
 * @throws when the schema is not JSON Schema 2020-12, or points at nothing
 */
export function validatorOf(schema: JsonSchema): z.ZodType {
  const whole = { ...schema, $defs: document.components.schemas }
  const local = JSON.stringify(whole).replaceAll('#/components/schemas/', '#/$defs/')
  return z.fromJSONSchema(JSON.parse(local))
}
