;; expect: ok
;; manifest: {"layout":"fixed"}
;; The same in the layout `fixed`: 1,920 KiB between __heap_base and __heap_end are free; what
;; does not fit is out-of-memory.
(module
  (memory (export "memory") 32)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_base") i32 (i32.const 65536))
  (global (export "__heap_end") i32 (i32.const 2031616))

  ;; Copies every input item, name, bytes and key, to the first output set.
  (global $end (mut i32) (i32.const 0)) ;; of what was handed out, 0 before the first call
  (func $alloc (param $len i32) (result i32)
    (local $begin i32)
    (local $heap_end i32)
    (local.set $begin (select (global.get $end) (i32.load (i32.const 1028)) (global.get $end)))
    (local.set $heap_end (i32.load (i32.const 1032)))
    (if (i32.gt_u (local.get $len) (i32.sub (local.get $heap_end) (local.get $begin)))
      (then (i32.store (i32.const 1024) (i32.const 259)) unreachable))
    (global.set $end (i32.add (local.get $begin) (local.get $len)))
    (local.get $begin))
  (func $copy (param $from i32) (param $len i32) (result i32)
    (local $to i32)
    (local.set $to (call $alloc (local.get $len)))
    (memory.copy (local.get $to) (local.get $from) (local.get $len))
    (local.get $to))
  (func (export "_start")
    (local $sets i32) (local $count i32) (local $from i32) (local $to i32) (local $left i32)
    (local.set $sets (i32.load (i32.const 1040)))
    (local.set $count (i32.load offset=8 (i32.add (local.get $sets) (i32.mul (i32.load (i32.const 1036)) (i32.const 12)))))
    (local.set $from (i32.load (i32.const 1052)))
    (local.set $to (call $alloc (i32.mul (local.get $count) (i32.const 20))))
    (i32.store (i32.const 1056) (local.get $to))
    (local.set $left (local.get $count))
    (block $done
      (loop $items
        (br_if $done (i32.eqz (local.get $left)))
        (i32.store offset=0 (local.get $to) (call $copy (i32.load offset=0 (local.get $from)) (i32.load offset=4 (local.get $from))))
        (i32.store offset=4 (local.get $to) (i32.load offset=4 (local.get $from)))
        (i32.store offset=8 (local.get $to) (call $copy (i32.load offset=8 (local.get $from)) (i32.load offset=12 (local.get $from))))
        (i32.store offset=12 (local.get $to) (i32.load offset=12 (local.get $from)))
        (i32.store offset=16 (local.get $to) (i32.load offset=16 (local.get $from)))
        (local.set $from (i32.add (local.get $from) (i32.const 20)))
        (local.set $to (i32.add (local.get $to) (i32.const 20)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $items)))
    (i32.store offset=8 (i32.load (i32.const 1048)) (i32.const 0))
    (local.set $sets (i32.load (i32.const 1048)))
    (local.set $left (i32.load (i32.const 1044)))
    ;; The offsets of the other sets and of the sentinel.
    (block $done
      (loop $outputs
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $sets (i32.add (local.get $sets) (i32.const 12)))
        (i32.store offset=8 (local.get $sets) (local.get $count))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $outputs)))
    (i32.store (i32.const 1024) (i32.const 0))))
