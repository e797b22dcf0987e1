/** Files that ship with the product and are served as they are (Swagger UI's). */
export interface Assets {
  get(name: string): Promise<Uint8Array | null>
}
