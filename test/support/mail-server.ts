import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { onTestFinished } from 'vitest'

export interface ReceivedMail {
  from: string
  to: string[]
  /** As sent, with folded lines put together. */
  headers: string[]
  /** Decoded. */
  text: string
}

export interface MailServer {
  port: number
  mails: ReceivedMail[]
  env: { SMTP_HOST: string; SMTP_PORT: string; SMTP_FROM: string }
}

/**
 * A local server that speaks SMTP, without TLS unless asked for. `receive` runs before a message is taken; what it
 * throws is the server's refusal. Closed when the test ends.
 */
export async function mailServer(
  receive: (mail: ReceivedMail) => unknown = () => {},
  options: SMTPServerOptions = { disabledCommands: ['STARTTLS', 'AUTH'] },
): Promise<MailServer> {
  const mails: ReceivedMail[] = []
  const server = new SMTPServer({
    authOptional: true,
    ...options,
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', async () => {
        const { mailFrom, rcptTo } = session.envelope
        const from = mailFrom ? mailFrom.address : ''
        const mail = { from, to: rcptTo.map(({ address }) => address), ...readMail(Buffer.concat(chunks).toString()) }
        try {
          await receive(mail)
          mails.push(mail)
          done()
        } catch (error) {
          done(error as Error)
        }
      })
    },
  })
  server.on('error', () => {}) // a client that breaks the connection off
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const { port } = server.server.address() as AddressInfo
  return {
    port,
    mails,
    env: { SMTP_HOST: '127.0.0.1', SMTP_PORT: String(port), SMTP_FROM: 'desiAgent <no-reply@desi.test>' },
  }
}

function readMail(raw: string): { headers: string[]; text: string } {
  const end = raw.indexOf('\r\n\r\n')
  const headers = raw
    .slice(0, end)
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
  const body = raw.slice(end + 4).replaceAll('\r\n', '\n')
  const isQuoted = headers.some((header) => /^content-transfer-encoding: quoted-printable$/i.test(header))
  return { headers, text: isQuoted ? unquote(body) : body }
}

/** Quoted-printable, RFC 2045 §6.7. */
function unquote(text: string): string {
  const bytes = text
    .replaceAll(/=\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
