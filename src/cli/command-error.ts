/** Something a person can put right; shown as its sentence, without a stack. */
export class CommandError extends Error {}
