;; expect: ok
;; Imports env.memory and nothing else, as some builds do: it gets a memory of its own.
(module
  (import "env" "memory" (memory 1))
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
