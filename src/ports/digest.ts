/** A keyed digest of a credential, base64url. The key never leaves the process and is new at each start. */
export type Digest = (text: string) => string | Promise<string>
