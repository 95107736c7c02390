import { type TSchema, Type } from 'typebox';

/** `list` object of one kind; the stock client pages by the last item's id while `has_more`. */
export const listOf = <Item extends TSchema>(item: Item) =>
  Type.Object({
    object: Type.Literal('list'),
    data: Type.Array(item),
    first_id: Type.Union([Type.String(), Type.Null()]),
    last_id: Type.Union([Type.String(), Type.Null()]),
    has_more: Type.Boolean(),
  });

export const nullable = <Value extends TSchema>(schema: Value) => Type.Union([schema, Type.Null()]);
