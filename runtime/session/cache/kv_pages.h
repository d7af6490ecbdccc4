#pragma once
// Which pages of the KV cache are free, and how many timelines read each page.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace atlas {

class KvPages {
  public:
    explicit KvPages(uint32_t n_pages);

    uint32_t n_pages() const { return static_cast<uint32_t>(references_.size()); }
    uint32_t n_free() const { return static_cast<uint32_t>(free_.size()); }

    /// A page with one reference, or nothing when all are taken. From a fresh start the lowest free page number,
    /// later the page freed last.
    std::optional<uint32_t> take();
    /// Adds a reader to a taken page.
    void share(uint32_t page);
    /// Removes a reader; removing the last one frees the page.
    void drop(uint32_t page);
    bool is_free(uint32_t page) const { return references_.at(page) == 0; }
    /// Page p becomes page to[p], or is dropped if that is kGone. Afterwards there are n_pages pages; the new numbers
    /// are below n_pages and all different.
    void renumber(std::span<const uint32_t> to, uint32_t n_pages);
    static constexpr uint32_t kGone = UINT32_MAX;
    /// Summed over pages.
    uint64_t n_readers() const;
    /// More than one reader: to write, copy the page first.
    bool is_shared(uint32_t page) const;

  private:
    std::vector<uint32_t> references_;  // [n_pages]
    std::vector<uint32_t> free_;        // a stack
};

}  // namespace atlas
