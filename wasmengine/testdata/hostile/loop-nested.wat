;; expect: deadline
;; Loops in loops, 2^96 rounds in all. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (local $a i32) (local $b i32) (local $c i32)
    (loop $outer
      (local.set $b (i32.const 0))
      (loop $middle
        (local.set $c (i32.const 0))
        (loop $inner
          (br_if $inner (local.tee $c (i32.add (local.get $c) (i32.const 1)))))
        (br_if $middle (local.tee $b (i32.add (local.get $b) (i32.const 1)))))
      (br_if $outer (local.tee $a (i32.add (local.get $a) (i32.const 1)))))))
