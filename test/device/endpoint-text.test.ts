import { expect, test } from 'vitest';
import { endpointOf, formatEndpoint } from '../../src/endpoint-text.ts';

test.each([
  ['192.0.2.1', 51820, '192.0.2.1:51820'],
  ['2001:DB8::1', 1, '[2001:db8::1]:1'],
  ['fe80::1%7', 65535, '[fe80::1%7]:65535'],
  ['febf::1%7', 65535, '[febf::1%7]:65535'],
  ['fe80::1', 9, '[fe80::1]:9'],
])('%s port %i is shown as %s', (address, port, text) => {
  expect(formatEndpoint(endpointOf({ address, port }))).toBe(text);
});

test('a zone is shown for link-local addresses only', () => {
  const global = { ...endpointOf({ address: 'fec0::1', port: 9 }), scope: 7 };
  expect(formatEndpoint(global)).toBe('[fec0::1]:9');
});

test('a zone may be the name of an interface', () => {
  expect(endpointOf({ address: 'fe80::1%lo', port: 9 }).scope).toBe(1);
});

test('a name that was not looked up is CONFIG, a zone that is no interface NOT_FOUND', () => {
  const parse = (address: string) => () => endpointOf({ address, port: 9 });
  expect(parse('example.com')).toThrow(expect.objectContaining({ code: 'CONFIG' }));
  expect(parse('fe80::1%no-such-if')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
});
