#pragma once

#include <map>
#include <variant>

#include "runtime/model/key_source.h"

namespace atlas {

/// Keys without a file: of a model that the catalogue knows, or that a test or a benchmark makes up.
class KeyMap final : public KeySource {
  public:
    using Value = std::variant<std::vector<int64_t>, double, std::string, bool>;

    KeyMap() = default;
    explicit KeyMap(std::string architecture) : architecture_(std::move(architecture)) {}

    /// Without the architecture's prefix; replaces what was there.
    KeyMap& set(std::string_view key, int64_t number) { return put(key, std::vector<int64_t>{number}); }
    KeyMap& put(std::string_view key, Value value);
    void set_name(std::string name) { name_ = std::move(name); }
    const std::map<std::string, Value, std::less<>>& entries() const { return entries_; }

    std::string architecture() const override { return architecture_; }
    std::string name() const override { return name_; }
    bool has(std::string_view key) const override { return entries_.contains(key); }
    Result<std::vector<int64_t>> integers(std::string_view key) const override;
    Result<float> number(std::string_view key) const override;
    Result<std::string> text(std::string_view key) const override;
    bool flag_or(std::string_view key, bool fallback) const override;
    /// The key vocab_size.
    Result<uint32_t> n_vocab() const override;

  private:
    template <class T>
    Result<T> get(std::string_view key, std::string_view expected) const;

    std::string architecture_, name_;
    std::map<std::string, Value, std::less<>> entries_;
};

}  // namespace atlas
