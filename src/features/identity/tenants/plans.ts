import { QUOTAS, type Quota, type TenantLimits, UNLIMITED } from '#kit/quotas.ts'

export const PLANS = ['free', 'pro', 'power', 'team', 'enterprise'] as const
export type Plan = (typeof PLANS)[number]

/** What each plan allows, unless the super admin says otherwise for a tenant. Null: no limit. */
const QUOTAS_OF_PLAN: Record<Plan, TenantLimits> = {
  free: {
    maxUsers: 3,
    maxAgents: 25,
    maxExecutionsPerMonth: 500,
    maxTokensPerMonth: 2_000_000,
    maxConcurrentExecutions: 5,
    requestsPerMinute: null,
  },
  pro: {
    maxUsers: 10,
    maxAgents: 100,
    maxExecutionsPerMonth: 5_000,
    maxTokensPerMonth: 20_000_000,
    maxConcurrentExecutions: 20,
    requestsPerMinute: null,
  },
  power: {
    maxUsers: 20,
    maxAgents: 250,
    maxExecutionsPerMonth: 20_000,
    maxTokensPerMonth: 100_000_000,
    maxConcurrentExecutions: 50,
    requestsPerMinute: null,
  },
  team: {
    maxUsers: 200,
    maxAgents: 1_000,
    maxExecutionsPerMonth: 100_000,
    maxTokensPerMonth: 500_000_000,
    maxConcurrentExecutions: 200,
    requestsPerMinute: null,
  },
  enterprise: UNLIMITED,
}

/** Only what differs from the plan. */
export type QuotaOverrides = { readonly [Q in Quota]?: number | null | undefined }

const NOTHING_CHANGED: QuotaOverrides = {}

/** The plan's quotas with what was changed for this tenant. */
export function limitsOf(plan: string, overrides: QuotaOverrides): TenantLimits {
  const ofPlan = QUOTAS_OF_PLAN[plan as Plan]
  if (overrides === NOTHING_CHANGED) return ofPlan
  const changed = QUOTAS.filter((quota) => overrides[quota] !== undefined)
  return { ...ofPlan, ...Object.fromEntries(changed.map((quota) => [quota, overrides[quota]])) }
}

/** From the columns of a tenant's row. Called for each request, so the usual case parses nothing. */
export function limitsOfRow(plan: string, quotas: string): TenantLimits {
  return limitsOf(plan, quotas === '{}' ? NOTHING_CHANGED : readOverrides(quotas))
}

export function readOverrides(quotas: string): QuotaOverrides {
  const stored = JSON.parse(quotas) as Record<string, number | null>
  return Object.fromEntries(QUOTAS.filter((quota) => quota in stored).map((quota) => [quota, stored[quota]]))
}
