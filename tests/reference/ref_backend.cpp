#include "tests/reference/ref_backend.h"

#include <cstring>

namespace atlas {

namespace {

class RefProgram final : public Program {
  public:
    explicit RefProgram(std::function<void(Ops&)> recorded) : pass(std::move(recorded)) {}
    std::function<void(Ops&)> pass;
};

class RefBackend final : public Backend {
  public:
    explicit RefBackend(uint64_t available_bytes) : total_bytes_(available_bytes), available_bytes_(available_bytes) {}

    std::string describe() const override { return "reference (host loops)"; }
    MemoryBudget budget() const override { return {total_bytes_, available_bytes_}; }
    uint64_t max_storage_bytes() const override { return uint64_t{1} << 40; }
    bool can_read(Format) const override { return true; }

    Result<std::unique_ptr<Storage>> allocate(MemoryUse, uint64_t bytes, std::string_view name) override {
        if (bytes > available_bytes_) {
            return fail(ErrorCode::out_of_memory, "{} needs {} bytes, {} are there", name, bytes, available_bytes_);
        }
        available_bytes_ -= bytes;  // a test's backend does not outlive its storages by much, so nothing is freed
        return std::make_unique<HostStorage>(std::string(name), bytes);
    }

    Result<void> shrink(std::unique_ptr<Storage>& storage, uint64_t bytes) override {
        ATLAS_CHECK(bytes > 0 && bytes <= storage->bytes(), "{}: {} bytes of {}", storage->name(), bytes,
                    storage->bytes());
        auto smaller = std::make_unique<HostStorage>(storage->name(), bytes);
        std::memcpy(smaller->data(), dynamic_cast<HostStorage&>(*storage).data(), bytes);
        available_bytes_ += storage->bytes() - bytes;
        storage = std::move(smaller);
        return {};
    }

    Result<void> upload(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) override {
        write(to, offset_bytes, bytes);
        return {};
    }
    Result<void> finish_uploads() override { return {}; }

    Result<void> reserve_scratch(uint64_t bytes) override {
        // sized for the largest model
        if (!scratch_ || scratch_->bytes() < bytes) scratch_ = std::make_unique<HostStorage>("scratch", bytes);
        return {};
    }

    Result<std::unique_ptr<Program>> record(std::string_view, const std::function<void(Ops&)>& pass) override {
        return std::make_unique<RefProgram>(pass);
    }

    Result<void> run(Program& program) override {
        ATLAS_CHECK(scratch_ != nullptr, "run before reserve_scratch");
        RefOps ops(*scratch_);
        dynamic_cast<RefProgram&>(program).pass(ops);
        return {};
    }

    void write(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) override {
        ATLAS_CHECK(offset_bytes + bytes.size() <= to.bytes(), "write {}+{} of {}", offset_bytes, bytes.size(),
                    to.bytes());
        if (!bytes.empty())
            std::memcpy(dynamic_cast<HostStorage&>(to).data() + offset_bytes, bytes.data(), bytes.size());
    }

    void read(const Storage& from, uint64_t offset_bytes, std::span<std::byte> bytes) override {
        ATLAS_CHECK(offset_bytes + bytes.size() <= from.bytes(), "read {}+{} of {}", offset_bytes, bytes.size(),
                    from.bytes());
        if (!bytes.empty())
            std::memcpy(bytes.data(), dynamic_cast<const HostStorage&>(from).data() + offset_bytes, bytes.size());
    }

  private:
    uint64_t total_bytes_;
    uint64_t available_bytes_;
    std::unique_ptr<HostStorage> scratch_;
};

}  // namespace

std::unique_ptr<Backend> make_ref_backend(uint64_t available_bytes) {
    return std::make_unique<RefBackend>(available_bytes);
}

}  // namespace atlas
