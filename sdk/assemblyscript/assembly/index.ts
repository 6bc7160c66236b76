/**
 * Pure functions for Pappus. A module exports `run`, which takes the items of the
 * input sets and puts items into output sets; what it returns is the exit code.
 */

import * as platform from "./platform";

export * from "./system";

/** An input item: bytes with a name and a key. */
export class Item {
  /** @param at Address of the platform's record of it. */
  constructor(private at: usize) {}

  /** The item's name, which need not be unique in its set. */
  get name(): string {
    return text(load<u32>(this.at), load<u32>(this.at, 4));
  }

  /** The number by which the items of a set are ordered. */
  get key(): u32 {
    return load<u32>(this.at, 16);
  }

  /** How many bytes the item has. */
  get length(): i32 {
    return load<i32>(this.at, 12);
  }

  /** Where in memory its bytes are, for those who load them without a copy. */
  get address(): usize {
    return load<u32>(this.at, 8);
  }

  /** A copy of the item's bytes. */
  get data(): Uint8Array {
    const length = this.length;
    const copy = new Uint8Array(length);
    memory.copy(copy.dataStart, this.address, length);
    return copy;
  }

  /** The item's bytes as text in UTF-8; what is no UTF-8 becomes U+FFFD. */
  get text(): string {
    return text(this.address, this.length);
  }
}

/** Names of the input sets, in the order of the manifest. */
export function inputs(): string[] {
  const n = platform.input_set_count();
  const names = new Array<string>(n);
  for (let i = 0; i < n; i++) names[i] = text(platform.input_set_ident(i), platform.input_set_ident_len(i));
  return names;
}

/** The items of an input set, in the order of their keys. A set that the function does not have ends it. */
export function input(set: string): Item[] {
  const i = inputs().indexOf(set);
  assert(i >= 0, "there is no input set " + set);
  const n = platform.input_buffer_count(i);
  const items = new Array<Item>(n);
  for (let j = 0; j < n; j++) items[j] = new Item(platform.get_input(i, j));
  return items;
}

/** The first input item of a name, or null. */
export function find(set: string, name: string): Item | null {
  const items = input(set);
  for (let i = 0; i < items.length; i++) {
    if (items[i].name == name) return items[i];
  }
  return null;
}

/** Names of the output sets, in the order of the manifest. */
export function outputs(): string[] {
  const n = platform.output_set_count();
  const names = new Array<string>(n);
  for (let i = 0; i < n; i++) names[i] = text(platform.output_set_ident(i), platform.output_set_ident_len(i));
  return names;
}

/** What the outputs' bytes are in: the platform reads them when all is over. */
const kept = new Array<ArrayBuffer>();

/** Adds an item to an output set. The bytes are not copied, so they must stay as they are. */
export function output(set: string, name: string, data: Uint8Array, key: u32 = 0): void {
  kept.push(data.buffer);
  put(set, name, data.dataStart, data.byteLength, key);
}

/** Adds an item with a text, in UTF-8. */
export function outputText(set: string, name: string, text: string, key: u32 = 0): void {
  const bytes = String.UTF8.encode(text);
  kept.push(bytes);
  put(set, name, changetype<usize>(bytes), bytes.byteLength, key);
}

/** Adds an input item, with another set, name or key perhaps, without a copy. */
export function outputItem(set: string, item: Item, name: string = item.name, key: u32 = item.key): void {
  put(set, name, item.address, item.length, key);
}

function put(set: string, name: string, data: usize, length: i32, key: u32): void {
  const i = outputs().indexOf(set);
  assert(i >= 0, "there is no output set " + set);
  const ident = String.UTF8.encode(name);
  assert(platform.add_output(i, changetype<usize>(ident), ident.byteLength, data, length, key) == 0, "no memory for the outputs");
}

function text(at: usize, length: u32): string {
  return String.UTF8.decodeUnsafe(at, length);
}
