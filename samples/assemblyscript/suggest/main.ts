/**
 * suggest finds what was meant: for words that were mistyped, those of a list that
 * are nearest.
 *
 * Each item of words has a word in each line. Each item of typed has too, and gives
 * one of suggestions: for each line the word, a tab, and the nearest of the list
 * between blanks, at most three, those first that came first in the list. A word of
 * the list is nearest to itself. How far two words are apart is how many letters
 * have to be put in, left out, replaced or swapped with their neighbour to make one
 * of the other, be they capitals or not: at most 2, and 1 for words of up to four
 * letters.
 *
 * Exit code 1, with the reason on stderr: there are no words, or a line is longer
 * than 100 letters.
 */
import { Item, input, outputText } from "./sdk/assembly";

const longest = 100;
const most = 3;

/** The letters of a line, as numbers; capitals are made small. */
function letters(line: string): StaticArray<i32> {
  const small = line.toLowerCase();
  const found: i32[] = [];
  for (let i = 0; i < small.length; i++) {
    const c = small.codePointAt(i);
    if (c > 0xffff) i++;
    found.push(c);
  }
  return StaticArray.fromArray<i32>(found);
}

class Word {
  /** A bit for each kind of letters that the word has. */
  kinds: u32 = 0;

  constructor(public text: string, public letters: StaticArray<i32>) {
    for (let i = 0; i < letters.length; i++) this.kinds |= 1 << (letters[i] & 31);
  }
}

/** The words of an item, one in each line, or null when it has a line that is too long. */
function wordsOf(item: Item): Word[] | null {
  const words: Word[] = [];
  const lines = item.text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const text = lines[i].trim();
    if (text.length == 0) continue;
    // A letter takes up to two places.
    const own = text.length <= 2 * longest ? letters(text) : null;
    if (own === null || own.length > longest) {
      console.error("suggest: " + item.name + ", line " + (i + 1).toString() + ": longer than " + longest.toString() + " letters");
      return null;
    }
    words.push(new Word(text, own));
  }
  return words;
}

// Three rows of the table of distances: of the letter, of the one before, and of
// the one before that.
let row = new StaticArray<i32>(longest + 1);
let before = new StaticArray<i32>(longest + 1);
let beforeThat = new StaticArray<i32>(longest + 1);

/** How far two words are apart, or something above limit when that is more. */
function distance(word: Word, other: Word, limit: i32): i32 {
  const a = word.letters;
  const b = other.letters;
  // Most words end here: what is done to one letter changes two kinds at most.
  if (abs(a.length - b.length) > limit || popcnt(word.kinds ^ other.kinds) > 2 * limit) return limit + 1;
  for (let j = 0; j <= b.length; j++) row[j] = j;
  for (let i = 1; i <= a.length; i++) {
    const last = beforeThat;
    beforeThat = before;
    before = row;
    row = last;
    row[0] = i;
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      let d = min(before[j - 1] + i32(a[i - 1] != b[j - 1]), min(before[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d = min(d, beforeThat[j - 2] + 1);
      row[j] = d;
      least = min(least, d);
    }
    // Of the rows that follow, a swap can begin in the one before this.
    if (least > limit + 1) return limit + 1;
  }
  return row[b.length];
}

/** The nearest words of a list. */
function nearest(typed: Word, list: Word[]): string[] {
  const limit = typed.letters.length <= 4 ? 1 : 2;
  const at: string[][] = [[], [], []];
  for (let i = 0; i < list.length; i++) {
    const d = distance(typed, list[i], limit);
    if (d <= limit && at[d].length < most) at[d].push(list[i].text);
  }
  return at[0].length > 0 ? at[0].slice(0, 1) : at[1].concat(at[2]).slice(0, most);
}

export function run(): i32 {
  const list: Word[] = [];
  const lists = input("words");
  for (let i = 0; i < lists.length; i++) {
    const words = wordsOf(lists[i]);
    if (words === null) return 1;
    for (let j = 0; j < words.length; j++) list.push(words[j]);
  }
  if (list.length == 0) {
    console.error("suggest: there are no words to choose from");
    return 1;
  }
  const typed = input("typed");
  for (let i = 0; i < typed.length; i++) {
    const words = wordsOf(typed[i]);
    if (words === null) return 1;
    let lines = "";
    for (let j = 0; j < words.length; j++) lines += words[j].text + "\t" + nearest(words[j], list).join(" ") + "\n";
    outputText("suggestions", typed[i].name, lines, typed[i].key);
  }
  return 0;
}
