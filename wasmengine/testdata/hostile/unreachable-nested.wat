;; expect: trap
;; The same three calls deep: the stack is reported.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func $outer (call $middle))
  (func $middle (call $inner))
  (func $inner unreachable)
  (func (export "_start")
    (call $outer)))
