;; expect: out-of-stack
;; Every other call is a tail call, which gives its frame back; the others do not.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (type $void (func))
  (table 1 funcref)
  (elem (i32.const 0) $calls)
  (func $calls (call $tails) (nop))
  (func $tails (return_call_indirect (type $void) (i32.const 0)))
  (func (export "_start")
    (call $calls)))
