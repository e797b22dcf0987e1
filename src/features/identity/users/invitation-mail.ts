import type { MailMessage } from '#ports/mail.ts'

export interface InvitationLetter {
  to: string
  tenantName: string
  token: string
  /** ISO 8601. */
  expiresAt: string
  /** Where the link leads; `{token}` is replaced. Null: the mail holds the token alone. */
  linkTemplate: string | null
}

/** What an invited person reads. */
export function writeInvitation({ to, tenantName, token, expiresAt, linkTemplate }: InvitationLetter): MailMessage {
  const tenant = inOneLine(tenantName)
  const way =
    linkTemplate === null
      ? ['This is your invitation token:', '', token]
      : ['Follow this link to accept:', '', linkTemplate.replaceAll('{token}', token)]
  const end = `${expiresAt.slice(0, 10)} at ${expiresAt.slice(11, 16)} UTC`
  const text = [
    `${tenant} invites you to its desiAgent workspace.`,
    '',
    ...way,
    '',
    `It works once and ends on ${end}.`,
    'If you did not expect this, you need not do anything.',
    '',
  ].join('\n')
  return { to, subject: `Invitation to ${tenant}`, text }
}

/** A name with a line break in it would begin a header of its own, or a sentence we did not write. */
function inOneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
}
