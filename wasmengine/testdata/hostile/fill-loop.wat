;; expect: deadline
;; Fills 64 KiB in one instruction for ever: must be charged by length. With a fuel limit: out-
;; of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (loop $again
      (memory.fill (i32.const 2048) (i32.const 7) (i32.const 63488))
      (br $again))))
