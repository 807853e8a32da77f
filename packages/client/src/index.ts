/** What the client can be told to do. */
export interface AuthClientOptions {
  readonly baseUrl: string | URL
}
