/** What the language asks the system for, under the names that asconfig.json gives it. */

import { fd_write } from "./platform";

/** Room for the arguments of fd_write: address and length, and what was written. */
const parts = memory.data(12, 4);

function write(fd: u32, text: string): void {
  const bytes = String.UTF8.encode(text);
  store<u32>(parts, changetype<usize>(bytes));
  store<u32>(parts, bytes.byteLength, 4);
  fd_write(fd, parts, 1, parts + 8);
}

/** Ends the function: the fault `trap`, with a message on stderr. */
// @ts-ignore: decorator
@global
function pappus_abort(message: string | null, file: string | null, line: u32, column: u32): void {
  let says = message === null ? "abort" : message;
  if (file !== null) says += " in " + file + "(" + line.toString() + ":" + column.toString() + ")";
  write(2, says + "\n");
  unreachable();
}

/** Random numbers are the same in every run. */
// @ts-ignore: decorator
@global
function pappus_seed(): f64 {
  return 1;
}

/** Writes a message and up to five numbers to stderr. */
// @ts-ignore: decorator
@global
function pappus_trace(message: string, n: i32 = 0, a0: f64 = 0, a1: f64 = 0, a2: f64 = 0, a3: f64 = 0, a4: f64 = 0): void {
  let line = "trace: " + message;
  const numbers: StaticArray<f64> = [a0, a1, a2, a3, a4];
  for (let i = 0; i < min(n, numbers.length); i++) line += (i == 0 ? " " : ", ") + numbers[i].toString();
  write(2, line + "\n");
}

/** log, info and debug write a line to stdout, warn and error to stderr. */
// @ts-ignore: decorator
@global
class pappus_console {
  static log(message: string = ""): void {
    write(1, message + "\n");
  }
  static info(message: string = ""): void {
    write(1, message + "\n");
  }
  static debug(message: string = ""): void {
    write(1, message + "\n");
  }
  static warn(message: string = ""): void {
    write(2, message + "\n");
  }
  static error(message: string = ""): void {
    write(2, message + "\n");
  }
  static assert<T>(condition: T, message: string = ""): void {
    if (!condition) write(2, "Assertion failed: " + message + "\n");
  }
}
