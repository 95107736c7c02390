declare const brand: unique symbol;

/** A nominal type: a `Value` that only its parser or owner can mint. */
export type Brand<Value, Name extends string> = Value & { readonly [brand]: Name };
