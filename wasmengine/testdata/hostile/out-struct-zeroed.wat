;; expect: ok or bad-output
;; Fills all of memory with zeros: exit code 0, and no output sets.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (memory.fill (i32.const 0) (i32.const 0) (i32.mul (memory.size) (i32.const 65536)))))
