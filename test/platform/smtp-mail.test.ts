import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { smtpMail } from '#platform/node/smtp-mail.ts'
import { ConfigError, readConfig } from '#src/config.ts'
import { mailServer } from '#test/support/mail-server.ts'
import { collectLog } from '../features/http/collect-log.ts'

const FROM = 'desiAgent <no-reply@desi.test>'
const MESSAGE = { to: 'ada@example.test', subject: 'Invitation to Acme', text: 'Hello,\n\nsecret-words\n' }
const settings = (port: number, login: { user: string; pass: string } | null = null) => ({
  host: '127.0.0.1',
  port,
  login,
  from: FROM,
  silenceMs: 300,
})

test('a message arrives as it was written', async () => {
  const server = await mailServer()
  await smtpMail(settings(server.port), collectLog().log).send({ ...MESSAGE, text: 'Grüße = "50%" \n.\nend\n' })

  expect(server.mails).toMatchObject([{ from: 'no-reply@desi.test', to: ['ada@example.test'] }])
  const [mail] = server.mails
  expect(mail?.headers).toEqual(
    expect.arrayContaining([`From: ${FROM}`, 'To: ada@example.test', 'Subject: Invitation to Acme']),
  )
  expect(mail?.headers.filter((header) => /^content-type:/i.test(header))).toEqual([
    expect.stringMatching(/^Content-Type: text\/plain; charset=utf-8/),
  ])
  expect(mail?.text.trimEnd()).toBe('Grüße = "50%" \n.\nend')
})

test('a subject with line breaks begins no header of its own', async () => {
  const server = await mailServer()
  const subject = 'Hello\r\nBcc: eve@evil.test\nX-Evil: 1\r\rReply-To: eve@evil.test'
  await smtpMail(settings(server.port), collectLog().log).send({ ...MESSAGE, subject })

  const [mail] = server.mails
  expect(mail?.to).toEqual(['ada@example.test'])
  expect(mail?.headers.filter((header) => /^(bcc|x-evil|reply-to):/i.test(header))).toEqual([])
  expect(mail?.headers.filter((header) => header.startsWith('Subject: Hello')).length).toBe(1)
})

test.each([
  'ada@example.test, eve@evil.test',
  'ada@example.test\r\nRCPT TO:<eve@evil.test>',
  'Eve <eve@evil.test>, a@b.test',
])('the address %j never becomes more than one recipient', async (to) => {
  const server = await mailServer()
  await smtpMail(settings(server.port), collectLog().log)
    .send({ ...MESSAGE, to })
    .catch(() => {})
  for (const mail of server.mails) expect(mail.to.length).toBe(1)
  expect(server.mails.flatMap((mail) => mail.to)).not.toContain('eve@evil.test')
})

test('it logs in when it has a user', async () => {
  const logins: unknown[] = []
  const server = await mailServer(undefined, {
    disabledCommands: ['STARTTLS'],
    authOptional: false,
    onAuth({ username, password }, _session, done) {
      logins.push([username, password])
      done(password === 'right' ? null : new Error('no'), { user: username })
    },
  })
  const { log, lines } = collectLog()
  await smtpMail(settings(server.port, { user: 'me', pass: 'right' }), log).send(MESSAGE)
  expect([logins, server.mails.length, lines]).toEqual([[['me', 'right']], 1, []])

  await expect(smtpMail(settings(server.port, { user: 'me', pass: 'wrong-pass' }), log).send(MESSAGE)).rejects.toThrow()
  expect(server.mails.length).toBe(1)
  expect(lines.map(({ fields }) => fields.code)).toEqual(['EAUTH'])
})

test('TLS that the server offers has to succeed: nothing goes to a server with a certificate nobody vouches for', async () => {
  const server = await mailServer(undefined, { disabledCommands: ['AUTH'] }) // offers STARTTLS, self-signed
  const { log, lines } = collectLog()
  await expect(smtpMail(settings(server.port), log).send(MESSAGE)).rejects.toThrow(/certificate/)
  expect(server.mails).toEqual([])
  expect(lines.length).toBe(1)
})

test('a refusal rejects, and is logged by the server’s code and not by anybody’s words', async () => {
  const server = await mailServer(() => {
    throw Object.assign(new Error(`no room for ${MESSAGE.text}`), { responseCode: 552 })
  })
  const { log, lines } = collectLog()
  await expect(smtpMail(settings(server.port), log).send(MESSAGE)).rejects.toThrow()
  expect(lines).toEqual([
    {
      level: 'warn',
      fields: { host: '127.0.0.1', port: server.port, code: 'EMESSAGE', command: 'DATA', responseCode: 552 },
      message: 'the mail server did not take a message',
    },
  ])
})

describe('a server that does not answer is given up', () => {
  async function listener(onConnection: (write: (text: string) => void) => void): Promise<number> {
    const sockets = new Set<{ destroy(): void }>()
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}))
      onConnection((text) => socket.write(text))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return (server.address() as AddressInfo).port
  }

  test('when it never greets', async () => {
    const port = await listener(() => {})
    await expect(smtpMail(settings(port), collectLog().log).send(MESSAGE)).rejects.toThrow()
  })

  test('when it greets and then keeps silent', async () => {
    const port = await listener((write) => write('220 hello\r\n'))
    await expect(smtpMail(settings(port), collectLog().log).send(MESSAGE)).rejects.toThrow()
  })

  test('when nobody listens', async () => {
    const { log, lines } = collectLog()
    await expect(smtpMail(settings(1), log).send(MESSAGE)).rejects.toThrow()
    expect(lines.map(({ fields }) => fields.command)).toEqual(['CONN'])
  })
})

describe('the mail settings', () => {
  const mailOf = (env: Record<string, string>) => readConfig(env).mail
  const host = { SMTP_HOST: 'mail.example', SMTP_FROM: FROM }

  test('are none without a host', () => {
    expect(mailOf({})).toBeNull()
    expect(mailOf({ SMTP_FROM: FROM, SMTP_USER: 'me' })).toBeNull()
  })

  test('are whole with one', () => {
    expect(mailOf(host)).toEqual({ host: 'mail.example', port: 587, login: null, from: FROM })
    expect(mailOf({ ...host, SMTP_PORT: '465', SMTP_USER: 'me', SMTP_PASS: 'p', SMTP_FROM: 'a@b.test' })).toEqual({
      host: 'mail.example',
      port: 465,
      login: { user: 'me', pass: 'p' },
      from: 'a@b.test',
    })
  })

  test.each([
    [{ SMTP_HOST: 'mail.example' }, 'SMTP_HOST is set, but SMTP_FROM is not.'],
    [{ ...host, SMTP_USER: 'me' }, 'SMTP_USER is set, but SMTP_PASS is not.'],
    [{ SMTP_FROM: 'nobody' }, 'SMTP_FROM is neither an address nor Name <address>.'],
    [{ SMTP_FROM: 'a@b.test\nBcc: c@d.test' }, 'SMTP_FROM is neither an address nor Name <address>.'],
    [{ SMTP_PORT: '0' }, 'SMTP_PORT is below 1.'],
    [{ INVITE_URL: 'https://app.example/join' }, 'INVITE_URL has no {token} in it.'],
    [{ INVITE_URL: 'app.example/{token}' }, 'INVITE_URL is not an http or https address.'],
  ])('%j is refused in one sentence', (env, sentence) => {
    expect(() => readConfig(env)).toThrow(new ConfigError(sentence))
  })

  test('take a link with the token anywhere in it', () => {
    const link = 'https://app.example/join?token={token}#x'
    expect(readConfig({ INVITE_URL: link }).INVITE_URL).toBe(link)
  })
})
