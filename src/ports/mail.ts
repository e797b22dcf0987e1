/** Sends mail. Rejects when the server did not take it. */
export interface Mail {
  send(message: MailMessage): Promise<void>
}

export interface MailMessage {
  to: string
  subject: string
  /** Plain text. */
  text: string
}
