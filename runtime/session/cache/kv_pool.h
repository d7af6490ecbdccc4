#pragma once
// The KV cache of many timelines: keys and values of every layer in pages that timelines share, and pages kept of
// timelines that have ended.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/model/load.h"
#include "runtime/session/cache/kv_layers.h"
#include "runtime/session/cache/kv_pages.h"
#include "runtime/session/cache/prefix_index.h"
#include "runtime/session/cache/state_slots.h"
#include "runtime/session/cache/window_slots.h"

namespace atlas {

class Timeline;

/// The states that a pool has room for, and how often a checkpoint is kept, in tokens.
struct StateShape {
    StateCounts counts = {};
    uint32_t checkpoint_every = 512;
};

/// Not thread-safe. A page is free, read by timelines, or kept: no timeline reads a kept page, but its contents may
/// be wanted again. Kept pages are reused when take() needs a page, least recently used first.
class KvPool {
  public:
    /// Allocates the storages. Later only copying pages and reading them back records programs or allocates.
    /// `rows`: whole pages. `states`: slots for layers with a state. `secret`: of the index of pages; none: no index,
    /// so that no page is kept or found (for one timeline alone). Fails: out_of_memory, limit (a layer's cache larger
    /// than the device's largest allocation).
    static Result<std::unique_ptr<KvPool>> create(std::shared_ptr<const Model> model, const KvRows& rows,
                                                  KvFormats formats, std::optional<HashSecret> secret = random_secret(),
                                                  const StateShape& states = {});

    const Model& model() const { return *model_; }
    KvFormats formats() const { return formats_; }
    std::span<const KvLayer> layers() const { return layers_.views(); }
    uint32_t n_pages() const { return pages_.n_pages(); }
    KvRows rows() const { return {n_pages() * kPageTokens, windows_.n_slots() * kPageTokens}; }
    /// How many pages take() can return.
    uint32_t n_available() const { return pages_.n_free() + n_kept_; }
    uint32_t n_kept() const { return n_kept_; }
    uint32_t n_in_use() const { return n_pages() - n_available(); }

    /// A page for one reader, its contents undefined; nothing when timelines read all of them.
    std::optional<uint32_t> take();
    /// Adds a reader to a page that is read or kept.
    void share(uint32_t page);
    /// Removes a reader. When the last one goes, the page is kept if the index knows it, else free.
    void drop(uint32_t page);
    bool is_shared(uint32_t page) const { return pages_.is_shared(page); }
    /// Tells the index to forget the page, because its only reader is about to write to it.
    void forget(uint32_t page);
    /// Frees all kept pages.
    void forget_kept();

    /// Shrinks the pool by `bytes` in whole pages, or as far as free and kept pages beyond `least_pages` allow, and
    /// returns that memory to the device. Kept pages are dropped first, least recently used first; only then are
    /// pages moved. `readers`: every timeline of the pool; their pages get new numbers. Storages move as by
    /// Backend::shrink, one at a time. Programs that were recorded with layers() are void, and none of them may be
    /// running.
    /// Returns the bytes freed. Fails: as Backend::run and Backend::shrink; n_pages() is smaller all the same.
    Result<uint64_t> shrink(uint64_t bytes, uint32_t least_pages, std::span<Timeline* const> readers);

    bool has_index() const { return has_index_; }
    PrefixIndex& index() { return index_; }
    const PrefixIndex& index() const { return index_; }

    /// The states of layers without keys and values; where there are none, timelines need no slots.
    uint32_t checkpoint_every() const { return checkpoint_every_; }
    StateSlots& states() { return states_; }
    const StateSlots& states() const { return states_; }
    /// A slot for one reader. When all are taken, the index forgets the state that it has known for longest.
    std::optional<uint32_t> take_state();
    /// The index forgets the state that it has known for longest; false: it knows none.
    bool forget_oldest_state();
    /// The state after a page that the index knows: added as a reader of the slot, and found by those who take up the
    /// page. kNone: not kept.
    void keep_state(uint32_t page, uint32_t slot);
    uint32_t state_of(uint32_t page) const { return state_of_page_[page]; }

    /// Which pages have a slot in layers with a window. Readers of a page take slots and drop them before the page.
    WindowSlots& windows() { return windows_; }
    const WindowSlots& windows() const { return windows_; }
    uint32_t window() const { return window_; }  // the widest

    /// Copies a page, with its slots where both pages have one, now or in finish_copies() at the latest. Fails: as
    /// Backend::run.
    Result<void> copy(uint32_t from, uint32_t to);
    /// Call it before the device runs what reads or writes pages. Fails: as Backend::run.
    Result<void> finish_copies();
    uint64_t n_copied_pages() const { return n_copied_; }

    /// Bytes of all layers of one page.
    uint64_t page_bytes() const;
    /// Copy a page's bytes [page_bytes()] out and in; those of layers in which it has no slot are zeros, and skipped.
    /// The first call of each allocates a storage of that size. Fails:
    /// out_of_memory, device_lost.
    Result<void> read_page(uint32_t page, std::span<std::byte> bytes);
    Result<void> write_page(uint32_t page, std::span<const std::byte> bytes);

  private:
    KvPool(std::shared_ptr<const Model> model, const KvRows& rows, KvFormats formats,
           const std::optional<HashSecret>& secret);
    struct Links {
        uint32_t before = 0, after = 0;
        bool is_kept = false;
    };
    void keep(uint32_t page);
    void unindex(uint32_t page);
    void unlink(uint32_t page);
    /// Where a program that copies pages reads their numbers in a layer: those of pages, or of slots.
    struct CopyIds {
        U32View from, to;
    };
    CopyIds copy_ids(uint32_t il, uint32_t count) const;
    uint64_t page_bytes_of(uint32_t il) const;
    bool has_window(uint32_t il) const { return model_->config().layers[il].cache().window > 0; }
    Result<std::vector<uint32_t>> move_down(uint32_t n_pages);
    void renumber(std::span<const uint32_t> to, uint32_t n_pages);
    Result<void> run_copies();
    std::vector<KvLayer> staged_layers(Storage& stage) const;
    Result<void> move_page(std::unique_ptr<Storage>& stage, std::unique_ptr<Program>& program, bool out, uint32_t page,
                           const std::function<void(Storage&)>& fill);

    std::shared_ptr<const Model> model_;
    KvFormats formats_;
    KvLayers layers_;

    KvPages pages_;
    bool has_index_;
    PrefixIndex index_;
    // [n_pages + 1] a ring of kept pages, least recently used first; the last entry is its start
    std::vector<Links> links_;
    uint32_t n_kept_ = 0;
    WindowSlots windows_;
    uint32_t window_ = 0;
    StateSlots states_;
    uint32_t checkpoint_every_ = 0;
    std::vector<uint32_t> state_of_page_;     // [n_pages] the index reads these slots
    std::vector<uint32_t> pages_with_state_;  // oldest first

    struct Copy {
        uint32_t from = 0, to = 0;
        uint32_t from_slot = 0, to_slot = 0;
    };
    std::vector<Copy> copies_;  // not yet run
    uint64_t n_copied_ = 0;
    std::unique_ptr<Storage> copy_ids_;
    std::unique_ptr<Program> copy_program_, out_program_, in_program_;
    std::unique_ptr<Storage> stage_out_, stage_in_;
};

}  // namespace atlas
