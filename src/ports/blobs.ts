/**
 * Bytes under a key. Keys are made by us from ids and use forward slashes; an adapter refuses
 * `..`, absolute keys and symbolic links all the same.
 */
export interface Blobs {
  put(key: string, bytes: Uint8Array): Promise<void>
  /** The bytes, or null when there are none under this key. */
  get(key: string): Promise<Uint8Array | null>
  /** Deleting what is not there succeeds. */
  delete(key: string): Promise<void>
  /** Deletes every blob whose key begins with `prefix` and a slash. */
  deleteAll(prefix: string): Promise<void>
}
