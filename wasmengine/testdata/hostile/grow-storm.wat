;; expect: deadline
;; manifest: {"layout":"grow"}
;; Grows memory by sizes that fit and that do not, writes to the last page and reads it back, for
;; ever. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (local $n i32) (local $last i32)
    (loop $again
      (drop (memory.grow (i32.and (local.get $n) (i32.const 3))))
      (drop (memory.grow (i32.sub (i32.const 65536) (memory.size))))
      (drop (memory.grow (i32.const 0x80000000)))
      (drop (memory.grow (i32.const -1)))
      (local.set $last (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4)))
      (i32.store (local.get $last) (local.get $n))
      (if (i32.ne (i32.load (local.get $last)) (local.get $n)) (then unreachable))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br $again))))
