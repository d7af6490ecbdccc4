#include "runtime/session/cache/kv_pool.h"

#include <algorithm>
#include <array>

namespace atlas {

namespace {

constexpr uint32_t kNoPage = UINT32_MAX;

}  // namespace

KvPool::KvPool(std::shared_ptr<const Model> model, const KvRows& rows, KvFormats formats,
               const std::optional<HashSecret>& secret)
    : model_(std::move(model)),
      formats_(formats),
      pages_(pages_for(rows.n)),
      has_index_(secret.has_value()),
      index_(n_pages(), secret.value_or(HashSecret{})),
      links_(n_pages() + 1),
      windows_(pages_for(rows.of_windows), n_pages()),
      window_(widest_window(model_->config())),
      state_of_page_(n_pages(), StateSlots::kNone) {
    links_[n_pages()] = {n_pages(), n_pages(), false};
}

Result<std::unique_ptr<KvPool>> KvPool::create(std::shared_ptr<const Model> model, const KvRows& rows,
                                               KvFormats formats, std::optional<HashSecret> secret,
                                               const StateShape& states) {
    ATLAS_CHECK(model != nullptr && rows.n > 0 && rows.n % kPageTokens == 0 && rows.of_windows % kPageTokens == 0);
    std::unique_ptr<KvPool> pool(new KvPool(std::move(model), rows, formats, secret));
    Backend& backend = pool->model_->backend();
    pool->checkpoint_every_ = states.checkpoint_every;
    ATLAS_TRY(pool->states_,
              StateSlots::create(backend, pool->model_->config(), states.counts.n_slots, states.counts.n_checkpoints));
    ATLAS_TRY(pool->layers_, KvLayers::create(backend, pool->model_->config(), rows, formats, "kv"));
    ATLAS_TRY(pool->copy_ids_, backend.allocate(MemoryUse::step, kPageCopyBytes, "page_copies"));
    return pool;
}

void KvPool::keep(uint32_t page) {
    const uint32_t ring = n_pages(), last = links_[ring].before;
    links_[page] = {last, ring, true};
    links_[last].after = page;
    links_[ring].before = page;
    ++n_kept_;
}

void KvPool::unindex(uint32_t page) {
    index_.remove(page);
    windows_.forget(page);
    uint32_t& slot = state_of_page_[page];
    if (slot == StateSlots::kNone) return;
    states_.drop(std::exchange(slot, StateSlots::kNone));
    std::erase(pages_with_state_, page);
}

bool KvPool::forget_oldest_state() {
    if (pages_with_state_.empty()) return false;
    const uint32_t oldest = pages_with_state_.front();
    pages_with_state_.erase(pages_with_state_.begin());
    states_.drop(std::exchange(state_of_page_[oldest], StateSlots::kNone));
    return true;
}

std::optional<uint32_t> KvPool::take_state() {
    while (states_.n_free() == 0 && forget_oldest_state()) {
    }
    return states_.take();
}

void KvPool::keep_state(uint32_t page, uint32_t slot) {
    ATLAS_CHECK(index_.knows(page) && state_of_page_[page] == StateSlots::kNone, "page {}", page);
    states_.share(slot);
    state_of_page_[page] = slot;
    pages_with_state_.push_back(page);
}

void KvPool::unlink(uint32_t page) {
    Links& links = links_[page];
    links_[links.before].after = links.after;
    links_[links.after].before = links.before;
    links.is_kept = false;
    --n_kept_;
}

std::optional<uint32_t> KvPool::take() {
    if (const auto page = pages_.take()) return page;
    const uint32_t oldest = links_[n_pages()].after;
    if (oldest == n_pages()) return std::nullopt;
    unlink(oldest);
    unindex(oldest);
    return oldest;  // the one reference that it was kept with becomes the reader's
}

void KvPool::share(uint32_t page) {
    if (links_.at(page).is_kept)
        unlink(page);
    else
        pages_.share(page);
}

void KvPool::drop(uint32_t page) {
    ATLAS_CHECK(!links_.at(page).is_kept, "page {} has no reader", page);
    if (!pages_.is_shared(page) && index_.knows(page))
        keep(page);
    else
        pages_.drop(page);
}

void KvPool::forget(uint32_t page) {
    ATLAS_CHECK(!is_shared(page) && !links_[page].is_kept, "page {} has other readers", page);
    if (index_.knows(page)) unindex(page);
}

void KvPool::forget_kept() {
    while (n_kept_ > 0) {
        const uint32_t page = links_[n_pages()].after;
        unlink(page);
        unindex(page);
        pages_.drop(page);
    }
}

Result<void> KvPool::copy(uint32_t from, uint32_t to) {
    // One run copies in any order, so none of its pages may be another's source or target.
    const bool depends = std::any_of(copies_.begin(), copies_.end(),
                                     [&](const Copy& c) { return c.to == from || c.to == to || c.from == to; });
    if (depends || copies_.size() == kPageCopiesPerRun) ATLAS_TRY_VOID(run_copies());
    const bool in_windows = windows_.slot_of(from) != WindowSlots::kNone && windows_.slot_of(to) != WindowSlots::kNone;
    copies_.push_back(
        {from, to, in_windows ? windows_.slot_of(from) : kNoPage, in_windows ? windows_.slot_of(to) : kNoPage});
    return {};
}

Result<void> KvPool::finish_copies() { return copies_.empty() ? Result<void>{} : run_copies(); }

KvPool::CopyIds KvPool::copy_ids(uint32_t il, uint32_t count) const {
    constexpr uint64_t kRun = kPageCopiesPerRun * sizeof(uint32_t);
    const uint64_t at = has_window(il) ? 2 * kRun : 0;
    return {{copy_ids_.get(), at, count}, {copy_ids_.get(), at + kRun, count}};
}

Result<void> KvPool::run_copies() {
    Backend& backend = model_->backend();
    if (!copy_program_) {
        ATLAS_TRY(copy_program_, backend.record("copy pages", [this](Ops& ops) {
            for (uint32_t il = 0; il < layers().size(); ++il) {
                const CopyIds ids = copy_ids(il, kPageCopiesPerRun);
                for (const Tensor* side : {&layers()[il].k, &layers()[il].v}) {
                    if (*side) ops.kv_copy(*side, ids.from, *side, ids.to, kPageTokens);
                }
            }
        }));
    }
    std::array<uint32_t, 4 * kPageCopiesPerRun> ids;
    ids.fill(kNoPage);
    for (size_t i = 0; i < copies_.size(); ++i) {
        ids[i] = copies_[i].from;
        ids[kPageCopiesPerRun + i] = copies_[i].to;
        ids[2 * kPageCopiesPerRun + i] = copies_[i].from_slot;
        ids[3 * kPageCopiesPerRun + i] = copies_[i].to_slot;
    }
    backend.write(*copy_ids_, 0, std::as_bytes(std::span(ids)));
    ATLAS_TRY_VOID(backend.run(*copy_program_));
    n_copied_ += copies_.size();
    copies_.clear();
    return {};
}

uint64_t KvPool::page_bytes_of(uint32_t il) const {
    uint64_t row_bytes = 0;
    for (const Tensor* side : {&layers()[il].k, &layers()[il].v})
        row_bytes += *side ? kv_row_bytes(side->format, side->cols) : 0;
    return kPageTokens * row_bytes;
}

uint64_t KvPool::page_bytes() const {
    uint64_t bytes = 0;
    for (uint32_t il = 0; il < layers().size(); ++il) bytes += page_bytes_of(il);
    return bytes;
}

std::vector<KvLayer> KvPool::staged_layers(Storage& stage) const {
    std::vector<KvLayer> staged;
    uint64_t at = 0;
    const auto next = [&](const Tensor& side) {
        if (!side) return Tensor();
        const Tensor page = dense(stage, side.format, kPageTokens, side.cols, at);
        at += uint64_t{kPageTokens} * kv_row_bytes(side.format, side.cols);
        return page;
    };
    for (const KvLayer& layer : layers()) {
        const Tensor k = next(layer.k), v = next(layer.v);
        staged.push_back({k, v, kPageTokens});
    }
    return staged;
}

Result<void> KvPool::move_page(std::unique_ptr<Storage>& stage, std::unique_ptr<Program>& program, bool out,
                               uint32_t page, const std::function<void(Storage&)>& fill) {
    ATLAS_CHECK(page < n_pages(), "page {} of {}", page, n_pages());
    Backend& backend = model_->backend();
    ATLAS_TRY_VOID(finish_copies());
    if (!stage) {
        ATLAS_TRY(stage, backend.allocate(out ? MemoryUse::output : MemoryUse::step, page_bytes(),
                                          out ? "page_out" : "page_in"));
    }
    if (!program) {
        const auto staged = staged_layers(*stage);
        ATLAS_TRY(program, backend.record(out ? "page out" : "page in", [this, staged, out](Ops& ops) {
            const auto move = [&](const CopyIds& ids, const Tensor& pool, const Tensor& one) {
                if (!pool) return;
                if (out)
                    ops.kv_copy(pool, ids.from, one, ids.to, kPageTokens);
                else
                    ops.kv_copy(one, ids.from, pool, ids.to, kPageTokens);
            };
            for (uint32_t il = 0; il < layers().size(); ++il) {
                move(copy_ids(il, 1), layers()[il].k, staged[il].k);
                move(copy_ids(il, 1), layers()[il].v, staged[il].v);
            }
        }));
    }
    const std::array<uint32_t, 2> in_pool{page, windows_.exist() ? windows_.slot_of(page) : kNoPage};
    for (size_t i = 0; i < in_pool.size(); ++i) {
        std::array<uint32_t, 2 * kPageCopiesPerRun> ids{};
        ids[out ? 0 : kPageCopiesPerRun] = in_pool[i];
        backend.write(*copy_ids_, i * sizeof(ids), std::as_bytes(std::span(ids)));
    }
    if (fill) fill(*stage);
    return backend.run(*program);
}

Result<void> KvPool::read_page(uint32_t page, std::span<std::byte> bytes) {
    ATLAS_CHECK_EQ(bytes.size(), page_bytes());
    ATLAS_TRY_VOID(move_page(stage_out_, out_program_, true, page, {}));
    model_->backend().read(*stage_out_, 0, bytes);
    if (!windows_.exist() || windows_.slot_of(page) != WindowSlots::kNone) return {};
    // What the stage held before is another page's.
    for (uint32_t il = 0; il < layers().size(); ++il) {
        const uint64_t n = page_bytes_of(il);
        if (has_window(il)) std::fill_n(bytes.begin(), n, std::byte{0});
        bytes = bytes.subspan(n);
    }
    return {};
}

Result<void> KvPool::write_page(uint32_t page, std::span<const std::byte> bytes) {
    ATLAS_CHECK_EQ(bytes.size(), page_bytes());
    return move_page(stage_in_, in_program_, false, page,
                     [&](Storage& stage) { model_->backend().write(stage, 0, bytes); });
}

}  // namespace atlas
