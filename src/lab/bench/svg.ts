/** Just enough SVG: elements as text, every text and attribute escaped. */

export type Attributes = Readonly<Record<string, string | number>>;

/** An element with attributes and ready-made children. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(String(value))}"`);
  const open = `<${name}${list.join('')}`;
  return children.length === 0 ? `${open}/>` : `${open}>${children.join('')}</${name}>`;
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escapeXml(content));
}

/** A whole document on a white ground. */
export function document(width: number, height: number, title: string, ...children: readonly string[]): string {
  const root = { xmlns: 'http://www.w3.org/2000/svg', width, height, viewBox: `0 0 ${width} ${height}`, role: 'img' };
  const ground = element('rect', { width, height, fill: '#ffffff' });
  return `${element('svg', root, element('title', {}, escapeXml(title)), ground, ...children)}\n`;
}

export function escapeXml(content: string): string {
  return content.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
