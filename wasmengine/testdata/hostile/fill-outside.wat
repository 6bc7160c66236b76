;; expect: trap
;; memory.fill past the end of memory writes nothing and traps.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (memory.fill (i32.const 2048) (i32.const 7) (i32.const -1))))
