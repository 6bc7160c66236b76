//! The heap: blocks side by side, each with a header that holds its own size and
//! that of the block before it, so that free blocks merge with both neighbours
//! at once. Free blocks hang in lists by the power of two of their size; the
//! first that fits is taken, else the heap becomes longer, by what is needed
//! only, so that a small function touches little memory.
use core::alloc::{GlobalAlloc, Layout};
use core::mem::size_of;
use core::ptr::{copy_nonoverlapping, null_mut};

use crate::platform::{self, Single};

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

static HEAP: Single<Heap> = Single::new(Heap { end: 0, fence: null_mut(), lists: [null_mut(); LISTS], occupied: 0 });

/// `next` and `prev` are there while the block is free. Sizes are those of whole
/// blocks, header included, and multiples of GRAIN.
struct Block {
    size: usize,   // and USED
    before: usize, // size of the block before; 0 in the first of a segment
    next: *mut Block,
    prev: *mut Block,
}

const GRAIN: usize = size_of::<Block>();
const HEADER: usize = 2 * size_of::<usize>();
const LISTS: usize = 8 * size_of::<usize>();
const USED: usize = 1;

struct Heap {
    end: usize,                 // of what was taken of the memory; 0 before anything was
    fence: *mut Block,          // the used block without content that ends the heap
    lists: [*mut Block; LISTS], // lists[i]: free blocks of 2^i up to 2^(i+1) - 1 bytes
    occupied: usize,            // bit i: lists[i] is not empty
}

fn list_of(size: usize) -> usize {
    LISTS - 1 - size.leading_zeros() as usize
}

/// The size of a block for that many bytes; None: there is no such block.
fn whole(size: usize) -> Option<usize> {
    Some(size.checked_add(HEADER + GRAIN - 1)? & !(GRAIN - 1))
}

/// A block's fields and neighbours.
///
/// SAFETY of all that follows: pointers to blocks come from the heap's own lists
/// and headers, or from callers of the allocator, who promise that they are of
/// blocks that it gave out. All lie in memory that the heap took, and headers
/// are never given out.
impl Block {
    unsafe fn size(b: *mut Block) -> usize {
        unsafe { (*b).size & !USED }
    }

    unsafe fn is_free(b: *mut Block) -> bool {
        unsafe { (*b).size & USED == 0 }
    }

    unsafe fn after(b: *mut Block) -> *mut Block {
        unsafe { b.cast::<u8>().add(Block::size(b)).cast() }
    }

    unsafe fn before(b: *mut Block) -> *mut Block {
        unsafe { b.cast::<u8>().sub((*b).before).cast() }
    }

    unsafe fn content(b: *mut Block) -> *mut u8 {
        unsafe { b.cast::<u8>().add(HEADER) }
    }

    unsafe fn of(content: *mut u8) -> *mut Block {
        unsafe { content.sub(HEADER).cast() }
    }
}

impl Heap {
    /// Takes more of the memory; None: there is no more.
    fn take_memory(&mut self, size: usize) -> Option<usize> {
        let begin = if self.end == 0 { platform::heap_begin() } else { self.end };
        let end = begin.checked_add(size)?;
        let most = platform::heap_end();
        if end > most && !platform::grow(end - most) {
            return None;
        }
        self.end = end;
        Some(begin)
    }

    unsafe fn unlist(&mut self, b: *mut Block) {
        // SAFETY: b is in its list.
        unsafe {
            let list = list_of(Block::size(b));
            if (*b).prev.is_null() {
                self.lists[list] = (*b).next;
            } else {
                (*(*b).prev).next = (*b).next;
            }
            if !(*b).next.is_null() {
                (*(*b).next).prev = (*b).prev;
            }
            if self.lists[list].is_null() {
                self.occupied &= !(1 << list);
            }
        }
    }

    /// Makes size bytes at b a free block, whose neighbours are used.
    unsafe fn make_free(&mut self, b: *mut Block, size: usize, before: usize) {
        // SAFETY: they belong to nobody else, and a header follows them.
        unsafe {
            let list = list_of(size);
            b.write(Block { size, before, next: self.lists[list], prev: null_mut() });
            (*Block::after(b)).before = size;
            if !(*b).next.is_null() {
                (*(*b).next).prev = b;
            }
            self.lists[list] = b;
            self.occupied |= 1 << list;
        }
    }

    /// Turns a used block into a free one, together with free neighbours.
    unsafe fn release(&mut self, mut b: *mut Block) {
        // SAFETY: a used block is between two others; the first of all has no
        // size before it.
        unsafe {
            let (mut size, mut before) = (Block::size(b), (*b).before);
            let next = Block::after(b);
            if Block::is_free(next) {
                self.unlist(next);
                size += Block::size(next);
            }
            if before != 0 && Block::is_free(Block::before(b)) {
                b = Block::before(b);
                self.unlist(b);
                size += before;
                before = (*b).before;
            }
            self.make_free(b, size, before);
        }
    }

    /// A free block of at least that size; null: there is none. Within the list
    /// of size's own power of two some are too small, in those above none is.
    fn find(&self, size: usize) -> *mut Block {
        let list = list_of(size);
        let mut b = self.lists[list];
        // SAFETY: what hangs in lists are blocks.
        unsafe {
            while !b.is_null() {
                if Block::size(b) >= size {
                    return b;
                }
                b = (*b).next;
            }
        }
        let larger = self.occupied & !((2usize << list).wrapping_sub(1));
        if larger == 0 {
            return null_mut();
        }
        self.lists[larger.trailing_zeros() as usize]
    }

    /// Makes the heap longer, so that a free block of at least that size is at
    /// its end: the fence becomes its header, and a new fence follows.
    fn extend(&mut self, size: usize) -> Option<*mut Block> {
        // SAFETY: what was taken of the memory belongs to nobody else.
        unsafe {
            if self.fence.is_null() {
                let begin = if self.end == 0 { platform::heap_begin() } else { self.end };
                let skip = begin.wrapping_add(HEADER).wrapping_neg() % GRAIN;
                let all = size.checked_add(skip + HEADER)?;
                let b = (self.take_memory(all)? + skip) as *mut Block;
                self.fence = b.cast::<u8>().add(size).cast();
                (*self.fence).size = USED;
                self.make_free(b, size, 0);
                return Some(b);
            }
            // A free last block is smaller than size, or it would have been found.
            let last = Block::before(self.fence);
            let more = size - if Block::is_free(last) { Block::size(last) } else { 0 };
            self.take_memory(more)?;
            let b = self.move_fence(more);
            self.release(b);
            Some(Block::before(self.fence))
        }
    }

    /// Makes a used block of the fence and that many bytes behind it, but for
    /// the new fence at their end.
    unsafe fn move_fence(&mut self, more: usize) -> *mut Block {
        // SAFETY: the bytes were just taken.
        unsafe {
            let b = self.fence;
            (*b).size = more | USED;
            self.fence = Block::after(b);
            (*self.fence).size = USED;
            (*self.fence).before = more;
            b
        }
    }

    /// Makes a free block, that is in no list, a used one of that size, and gives
    /// the rest back.
    unsafe fn cut(&mut self, b: *mut Block, size: usize) {
        // SAFETY: the block is that large; what follows is not free.
        unsafe {
            let rest = Block::size(b) - size;
            (*b).size = size | USED;
            if rest != 0 {
                self.make_free(Block::after(b), rest, size);
            }
        }
    }

    fn alloc(&mut self, layout: Layout) -> Option<*mut u8> {
        // In front of an aligned block up to align - GRAIN bytes stay free.
        let slack = layout.align().saturating_sub(GRAIN);
        let size = whole(layout.size())?;
        let enough = size.checked_add(slack)?;
        let mut b = self.find(enough);
        if b.is_null() {
            b = self.extend(enough)?;
        }
        // SAFETY: b is free, in a list, and large enough for both.
        unsafe {
            self.unlist(b);
            let front = (b as usize).wrapping_add(HEADER).wrapping_neg() & (layout.align() - 1);
            if front != 0 {
                let (rest, before) = (Block::size(b) - front, (*b).before);
                let aligned: *mut Block = b.cast::<u8>().add(front).cast();
                (*aligned).size = rest;
                self.make_free(b, front, before);
                (*Block::after(aligned)).before = rest;
                b = aligned;
            }
            self.cut(b, size);
            Some(Block::content(b))
        }
    }

    /// Changes the size of a used block where it is.
    unsafe fn resize(&mut self, b: *mut Block, size: usize) -> Option<()> {
        // SAFETY: what follows a used block is another, the fence at least.
        unsafe {
            let size = whole(size)?;
            let have = Block::size(b);
            let next = Block::after(b);
            if size <= have {
                if size < have {
                    // The rest becomes a used block, to be released.
                    let rest: *mut Block = b.cast::<u8>().add(size).cast();
                    (*rest).size = (have - size) | USED;
                    (*rest).before = size;
                    (*next).before = have - size;
                    (*b).size = size | USED;
                    self.release(rest);
                }
                return Some(());
            }
            let free = if Block::is_free(next) { Block::size(next) } else { 0 };
            let follows: *mut Block = next.cast::<u8>().add(free).cast();
            if have + free < size {
                if follows != self.fence {
                    return None;
                }
                self.take_memory(size - have - free)?;
            }
            if free != 0 {
                self.unlist(next);
            }
            let mut all = have + free;
            if all < size {
                let more = size - all;
                self.move_fence(more);
                all = size;
            }
            (*b).size = all;
            (*Block::after(b)).before = all;
            self.cut(b, size);
            Some(())
        }
    }
}

// SAFETY: blocks don't overlap, are as large and as aligned as asked for, and
// stay where they are until they are given back. Nothing here panics.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the heap calls nothing that allocates.
        match unsafe { (*HEAP.get()).alloc(layout) } {
            Some(content) => {
                platform::memory_had();
                content
            }
            None => {
                platform::out_of_memory();
                null_mut()
            }
        }
    }

    unsafe fn dealloc(&self, content: *mut u8, _: Layout) {
        // SAFETY: the caller's promise: alloc gave it out.
        unsafe { (*HEAP.get()).release(Block::of(content)) }
    }

    unsafe fn realloc(&self, content: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises, as above; a size and an alignment for
        // which there is no layout were promised not to be.
        unsafe {
            if (*HEAP.get()).resize(Block::of(content), size).is_some() {
                platform::memory_had();
                return content;
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                copy_nonoverlapping(content, moved, layout.size().min(size));
                self.dealloc(content, layout);
            }
            moved
        }
    }
}
