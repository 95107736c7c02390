import { S3Error } from './s3-error.ts';

export const s3Namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** An element to write: text, or children in order; an undefined child is left out. */
export type XmlNode = readonly [name: string, content: XmlContent];
export type XmlContent = string | number | boolean | readonly (XmlNode | undefined)[];

/** A whole document. */
export function writeXml(root: XmlNode, namespace: string | null = s3Namespace): string {
  const [name, content] = root;
  const attribute = namespace === null ? '' : ` xmlns="${namespace}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${attribute}>${writeContent(content)}</${name}>`;
}

function writeContent(content: XmlContent): string {
  if (typeof content !== 'object') return escapeText(String(content));
  return content
    .map((node) => (node === undefined ? '' : `<${node[0]}>${writeContent(node[1])}</${node[0]}>`))
    .join('');
}

function escapeText(text: string): string {
  // line ends and other control characters would not survive as they are
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
  return text.replace(/[&<>"'\u0000-\u001f\u007f\ufffe\uffff]/g, (character) => {
    const name = entityNames[character];
    return name === undefined ? `&#x${character.charCodeAt(0).toString(16)};` : `&${name};`;
  });
}

const entityNames: Readonly<Record<string, string>> = { '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot', "'": 'apos' };
const entityCharacters: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** An element that was read. Names have lost their namespace prefix, attributes are dropped. */
export interface XmlElement {
  readonly name: string;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

const maxDepth = 16;
const tokens =
  /<\?[^>]*\?>|<!--[\s\S]*?-->|<\/\s*([\w:.-]+)\s*>|<([\w:.-]+)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/gy;

interface OpenElement {
  readonly name: string;
  readonly children: XmlElement[];
  text: string;
}

/** The small part of XML that S3 requests use: no document types, no CDATA. Throws `MalformedXML`. */
export function parseXml(text: string): XmlElement {
  const top: OpenElement = { name: '', children: [], text: '' };
  const open = [top];
  tokens.lastIndex = 0;
  while (tokens.lastIndex < text.length) {
    const token = tokens.exec(text);
    const parent = open.at(-1);
    if (token === null || parent === undefined) throw malformed();
    readToken(token, open, parent);
  }
  const [root] = top.children;
  if (open.length !== 1 || root === undefined || top.children.length !== 1 || top.text.trim() !== '') throw malformed();
  return root;
}

function readToken(token: RegExpExecArray, open: OpenElement[], parent: OpenElement): void {
  const [, closes, opens, , selfClosing, characters] = token;
  if (characters !== undefined) {
    parent.text += unescapeText(characters);
  } else if (opens !== undefined) {
    const element = { name: localName(opens), children: [], text: '' };
    if (open.length > maxDepth) throw malformed();
    parent.children.push(element);
    if (selfClosing === '') open.push(element);
  } else if (closes !== undefined) {
    if (open.length === 1 || parent.name !== localName(closes)) throw malformed();
    open.pop();
  }
}

/** Text of the only child of the name; undefined when there is none. Throws `MalformedXML` when there are several. */
export function findChildText(element: XmlElement, name: string): string | undefined {
  const [child, second] = element.children.filter((other) => other.name === name);
  if (second !== undefined) throw malformed();
  return child?.text;
}

function malformed(): S3Error {
  return new S3Error('MalformedXML', 'the XML of the request is not well-formed or not of the expected shape');
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function unescapeText(text: string): string {
  return text.replace(/&([^;&]*);?/g, (whole, name: string) => {
    const known = Object.hasOwn(entityCharacters, name) ? entityCharacters[name] : undefined;
    if (known !== undefined && whole.endsWith(';')) return known;
    const digits = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(name);
    const code =
      digits === null ? Number.NaN : Number.parseInt(digits[1] ?? digits[2] ?? '', digits[1] === undefined ? 10 : 16);
    if (!(code <= 0x10ffff)) throw malformed();
    return String.fromCodePoint(code);
  });
}
