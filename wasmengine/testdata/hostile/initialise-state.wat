;; expect: ok
;; Counts its calls in a global and in memory and traps at the second: every call must get a
;; fresh instance.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global $calls (mut i32) (i32.const 0))
  (func (export "_start")
    (if (i32.or (global.get $calls) (i32.load (i32.const 2048))) (then unreachable))
    (global.set $calls (i32.const 1))
    (i32.store (i32.const 2048) (i32.const 1))
    (i32.store (i32.const 1024) (i32.const 0))))
