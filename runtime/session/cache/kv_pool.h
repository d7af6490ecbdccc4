#pragma once
// The KV cache of many timelines: the keys and values of every layer in pages that timelines share, and what is kept of those that ended.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/model/load.h"
#include "runtime/session/cache/kv_layers.h"
#include "runtime/session/cache/kv_pages.h"
#include "runtime/session/cache/prefix_index.h"

namespace atlas {

class Timeline;

/// Not thread-safe. A page is free, read by timelines, or kept: no timeline reads it, its content may be wanted again, and it goes when a
/// page is needed, the longest unused first.
class KvPool {
  public:
    /// Takes the storages; nothing but copying and reading back records or allocates later.
    /// Fails: out_of_memory, limit (a layer's cache larger than what the device hands out in one piece).
    static Result<std::unique_ptr<KvPool>> create(std::shared_ptr<const Model> model, uint32_t n_pages, KvFormats formats,
                                                  const HashSecret& secret = random_secret());

    const Model& model() const { return *model_; }
    KvFormats formats() const { return formats_; }
    std::span<const KvLayer> layers() const { return layers_.views(); }
    uint32_t n_pages() const { return pages_.n_pages(); }
    /// What take() can give.
    uint32_t n_available() const { return pages_.n_free() + n_kept_; }
    uint32_t n_kept() const { return n_kept_; }
    uint32_t n_in_use() const { return n_pages() - n_available(); }

    /// A page for one reader, its content undefined; nothing when timelines read all of them.
    std::optional<uint32_t> take();
    /// One more reader of a page that is read or kept.
    void share(uint32_t page);
    /// One reader less. The last one leaves it kept if the index knows it, else free.
    void drop(uint32_t page);
    bool is_shared(uint32_t page) const { return pages_.is_shared(page); }
    /// Its only reader is about to write to it: what the index knew of it is no longer so.
    void forget(uint32_t page);
    /// Throws away what is kept.
    void forget_kept();

    /// Gives `bytes` back to the device in whole pages, or as much as free and kept pages hold beyond `least_pages`; what is kept goes, the
    /// longest unused first, before anything else must move. `readers`: every timeline of the pool; their pages get other numbers. Storages
    /// move as by Backend::shrink, one at a time. What was recorded with layers() is void, and none of it may be under way.
    /// Returns the bytes given back. Fails: as Backend::run and Backend::shrink; n_pages() is smaller all the same.
    Result<uint64_t> shrink(uint64_t bytes, uint32_t least_pages, std::span<Timeline* const> readers);

    PrefixIndex& index() { return index_; }
    const PrefixIndex& index() const { return index_; }

    /// Copies a page, at the latest in finish_copies(). Fails: as Backend::run.
    Result<void> copy(uint32_t from, uint32_t to);
    /// To be called before the device runs what reads or writes pages. Fails: as Backend::run.
    Result<void> finish_copies();
    uint64_t n_copied_pages() const { return n_copied_; }

    /// All layers of one page as they lie in memory.
    uint64_t page_bytes() const;
    /// bytes: [page_bytes()]. The first call of each takes a storage of that size. Fails: out_of_memory, device_lost.
    Result<void> read_page(uint32_t page, std::span<std::byte> bytes);
    Result<void> write_page(uint32_t page, std::span<const std::byte> bytes);

  private:
    KvPool(std::shared_ptr<const Model> model, uint32_t n_pages, KvFormats formats, const HashSecret& secret);
    struct Links {
        uint32_t before = 0, after = 0;
        bool is_kept = false;
    };
    void keep(uint32_t page);
    void unlink(uint32_t page);
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
    PrefixIndex index_;
    std::vector<Links> links_;  // [n_pages + 1] a ring of kept pages, longest unused first; the last entry is its start
    uint32_t n_kept_ = 0;

    struct Copy {
        uint32_t from = 0, to = 0;
    };
    std::vector<Copy> copies_;  // not yet run
    uint64_t n_copied_ = 0;
    std::unique_ptr<Storage> copy_ids_;
    std::unique_ptr<Program> copy_program_, out_program_, in_program_;
    std::unique_ptr<Storage> stage_out_, stage_in_;
};

}  // namespace atlas
