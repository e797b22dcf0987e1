import { createTransport } from 'nodemailer'
import type { Log } from '#ports/log.ts'
import type { Mail } from '#ports/mail.ts'

export interface SmtpSettings {
  host: string
  /** 465: TLS from the start. On others STARTTLS is used when the server offers it, and has to succeed then. */
  port: number
  /** Null: the server takes mail from anybody it can hear. */
  login: { user: string; pass: string } | null
  /** An address, or `Name <address>`. */
  from: string
  /** How long the server may keep silent at any point, in milliseconds. */
  silenceMs?: number
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[?::1\]?)$/i

/** Mail by SMTP, a connection for each message. A failure is logged here, by the server's codes and never its words. */
export function smtpMail({ host, port, login, from, silenceMs = 15_000 }: SmtpSettings, log: Log): Mail {
  const transport = createTransport({
    host,
    port,
    secure: port === 465,
    // A password goes over the network only under TLS.
    requireTLS: login !== null && port !== 465 && !LOOPBACK.test(host),
    ...(login && { auth: login }),
    dnsTimeout: silenceMs,
    connectionTimeout: silenceMs,
    greetingTimeout: silenceMs,
    socketTimeout: silenceMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async send({ to, subject, text }) {
      try {
        // The address as an object: as a string it could be read as a list of several.
        await transport.sendMail({ from, to: { name: '', address: to }, subject, text })
      } catch (error) {
        const { code, command, responseCode } = error as { code?: string; command?: string; responseCode?: number }
        log.warn({ host, port, code, command, responseCode }, 'the mail server did not take a message')
        throw error
      }
    },
  }
}
