#include "runtime/model/load.h"

#include <algorithm>

#include "quant/codec.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/gguf/intact.h"
#include "runtime/gguf/stream.h"
#include "runtime/model/identity.h"
#include "runtime/model/key_shift.h"
#include "runtime/model/regroup.h"
#include "runtime/model/weight_places.h"

namespace atlas {

namespace {

struct Resolution {
    const Architecture* architecture = nullptr;
    ModelConfig config;
    std::vector<ResolvedWeight> weights;
};

Result<Resolution> resolve(const gguf::File& file, const std::function<bool(Format)>& can_read,
                           const Architecture* architecture = nullptr) {
    Resolution found{.architecture = architecture, .config = {}, .weights = {}};
    if (architecture == nullptr) {
        ATLAS_TRY(found.architecture, find_architecture(file));
    }
    ATLAS_TRY(found.config, found.architecture->read_config(FileKeys(file)));
    ATLAS_TRY(found.weights, resolve_weights(file, found.architecture->weights(found.config), found.config, can_read));
    return found;
}

class Streamer {
  public:
    Streamer(const gguf::File& file, const ModelConfig& config, Backend& backend, uint64_t total_bytes,
             const LoadProgress& progress)
        : file_(file), config_(config), backend_(backend), total_bytes_(total_bytes), progress_(progress) {}

    Result<void> upload(const ResolvedWeight& weight, Storage& to, uint64_t offset_bytes) {
        first_byte_ = offset_bytes;
        const bool as_is =
            weight.format == weight.source->format && weight.scale == 1.0f && weight.content == Content::as_stored;
        if (!as_is) return upload_floats(weight, to);
        return weight.layout == Layout::planar ? upload_regrouped(weight, to) : upload_bytes(weight, to);
    }

  private:
    Result<void> upload_bytes(const ResolvedWeight& weight, Storage& to) {
        return gguf::stream_tensor(file_, *weight.source,
                                   [&](uint64_t offset_bytes, std::span<const std::byte> bytes) -> Result<void> {
                                       ATLAS_TRY_VOID(backend_.upload(to, first_byte_ + offset_bytes, bytes));
                                       advance(bytes.size());
                                       return {};
                                   });
    }

    Result<void> upload_regrouped(const ResolvedWeight& weight, Storage& to) {
        Regrouper regrouper(weight.format);
        const auto take = [&](uint64_t offset_bytes, std::span<const std::byte> bytes) {
            advance(bytes.size());
            return backend_.upload(to, first_byte_ + offset_bytes, bytes);
        };
        ATLAS_TRY_VOID(gguf::stream_tensor(file_, *weight.source, [&](uint64_t, std::span<const std::byte> bytes) {
            return regrouper.add(bytes, take);
        }));
        return regrouper.finish(take);
    }

    // Row by row through floats: vectors that the file stores in another format or that are made of a bias, and scaled
    // f32 matrices.
    Result<void> upload_floats(const ResolvedWeight& weight, Storage& to) {
        const Format from = *weight.source->format;
        const std::span<const std::byte> data = file_.data(*weight.source);
        const uint64_t row_bytes = bytes_of(from, weight.cols);
        ATLAS_CHECK(weight.format == Format::f32 && data.size() == weight.rows * row_bytes, "{}", weight.source->name);
        std::vector<float> row(weight.cols);
        for (uint32_t r = 0; r < weight.rows; ++r) {
            dequantize_row(from, data.subspan(r * row_bytes, row_bytes), row);
            for (float& value : row) value *= weight.scale;
            if (weight.content == Content::key_shift)
                row = key_shift(row, config_.layers[*weight.layer].rope, config_.n_ctx_train);
            ATLAS_TRY_VOID(
                backend_.upload(to, first_byte_ + r * row.size() * sizeof(float), std::as_bytes(std::span(row))));
            advance(row.size() * sizeof(float));
        }
        file_.release(*weight.source, 0, data.size());
        return {};
    }

    void advance(uint64_t n_bytes) {
        done_bytes_ += n_bytes;
        if (progress_) progress_(done_bytes_, total_bytes_);
    }

    const gguf::File& file_;
    const ModelConfig& config_;
    Backend& backend_;
    uint64_t total_bytes_;
    const LoadProgress& progress_;
    uint64_t done_bytes_ = 0;
    uint64_t first_byte_ = 0;  // of the weight in its storage
};

Result<void> check_storage_sizes(std::span<const ResolvedWeight> weights, const Backend& backend) {
    for (const ResolvedWeight& weight : weights) {
        if (weight.bytes() <= backend.max_storage_bytes()) continue;
        return fail(ErrorCode::unsupported,
                    "{}: {} bytes ({}), but this device allocates at most {} bytes ({}) in one piece",
                    weight.source->name, weight.bytes(), bytes_text(weight.bytes()), backend.max_storage_bytes(),
                    bytes_text(backend.max_storage_bytes()));
    }
    return {};
}

}  // namespace

namespace {

Result<Resolution> resolve_on(const gguf::File& file, const Backend& backend,
                              const Architecture* architecture = nullptr) {
    ATLAS_TRY(Resolution found, resolve(
                                    file, [&](Format format) { return backend.can_read(format); }, architecture));
    for (ResolvedWeight& weight : found.weights) weight.layout = backend.weight_layout(weight.format, weight.cols);
    ATLAS_TRY_VOID(check_storage_sizes(found.weights, backend));
    return found;
}

Result<MemoryPlan> plan_on(const Resolution& found, const SessionShape& shape, const Backend& backend,
                           uint64_t keep_free_bytes) {
    const uint64_t there = backend.budget().available_bytes;
    return plan_within({found.config, found.weights, found.architecture->forward, backend.overhead_bytes(),
                        backend.scratch_bytes(), backend.max_storage_bytes()},
                       shape, there - std::min(there, keep_free_bytes));
}

}  // namespace

Result<std::shared_ptr<Model>> Model::prepare(const gguf::File& file, Backend& backend, const SessionShape& shape,
                                              const Architecture* architecture) {
    const auto in_file = [&](Error error) { return fail_in(file.path().string(), std::move(error)); };
    auto found = resolve_on(file, backend, architecture);
    if (!found) return in_file(std::move(found).error());
    if (const auto plan = plan_on(*found, shape, backend, 0); !plan) return in_file(plan.error());

    std::shared_ptr<Model> model(new Model(backend));
    model->architecture_ = found->architecture;
    model->config_ = std::move(found->config);
    model->resolved_ = std::move(found->weights);
    model->weights_bytes_ = total_bytes(model->resolved_);
    std::sort(model->resolved_.begin(), model->resolved_.end(), [](const ResolvedWeight& a, const ResolvedWeight& b) {
        return std::pair(a.source->part, a.source->offset_bytes) < std::pair(b.source->part, b.source->offset_bytes);
    });  // as they lie on the disk
    return model;
}

Result<void> Model::take_weights(const FillWeight& fill) {
    const WeightPlaces places = place_weights(resolved_, backend_.max_storage_bytes());
    std::vector<uint64_t> sizes;
    for (const WeightPlaces::Piece& piece : places.storages) sizes.push_back(piece.bytes);
    backend_.expect(MemoryUse::weights, sizes);
    for (const WeightPlaces::Piece& piece : places.storages) {
        ATLAS_TRY(auto storage, backend_.allocate(MemoryUse::weights, piece.bytes, piece.name));
        storages_.push_back(std::move(storage));
    }
    for (size_t i = 0; i < resolved_.size(); ++i) {
        const WeightPlaces::Place& place = places.of[i];
        if (auto done = fill(resolved_[i], *storages_[place.storage], place.offset_bytes); !done) {
            return fail_in(resolved_[i].source->name, std::move(done).error());
        }
    }
    ATLAS_TRY_VOID(backend_.finish_uploads());
    size_t next = 0;
    weights_ = assemble_weights(config_, resolved_, [&](const ResolvedWeight& weight) {
        const WeightPlaces::Place& place = places.of[next++];
        return dense(*storages_[place.storage], weight.format, weight.rows, weight.cols, place.offset_bytes,
                     weight.layout);
    });
    for (ResolvedWeight& weight : resolved_) weight.source = nullptr;
    return {};
}

Result<std::shared_ptr<const Model>> Model::load(const gguf::File& file, Backend& backend, const SessionShape& shape,
                                                 const LoadProgress& progress, const Architecture* architecture) {
    ATLAS_TRY(const std::shared_ptr<Model> model, prepare(file, backend, shape, architecture));
    Streamer streamer(file, model->config_, backend, model->weights_bytes_, progress);
    ModelIdentity identity(model->config_);
    const auto fill = [&](const ResolvedWeight& weight, Storage& to, uint64_t at) -> Result<void> {
        const gguf::TensorInfo& source = *weight.source;
        ATLAS_TRY_VOID(file.populate(source, 0, std::min(source.bytes, ModelIdentity::kSampleBytes)));
        identity.add(weight, file.data(source));
        return streamer.upload(weight, to, at);
    };
    const auto taken = model->take_weights(fill);
    ATLAS_TRY_VOID(
        gguf::check_intact(file));  // first: another error may come from the zeros of a file that became shorter
    ATLAS_TRY_VOID(taken);
    model->identity_ = identity.hexadecimal();
    return model;
}

Result<std::shared_ptr<const Model>> Model::load_filled(const gguf::File& file, Backend& backend,
                                                        const SessionShape& shape, const FillWeight& fill) {
    ATLAS_TRY(const std::shared_ptr<Model> model, prepare(file, backend, shape));
    ModelIdentity identity(model->config_);
    ATLAS_TRY_VOID(model->take_weights([&](const ResolvedWeight& weight, Storage& to, uint64_t at) {
        identity.add(weight, {});
        return fill(weight, to, at);
    }));
    model->identity_ = identity.hexadecimal();
    return model;
}

Result<MemoryPlan> Model::plan_session(const SessionShape& shape) const {
    return plan_within({config_, resolved_, architecture_->forward, backend_.overhead_bytes(), backend_.scratch_bytes(),
                        backend_.max_storage_bytes()},
                       shape, backend_.budget().available_bytes, true);
}

Result<MemoryPlan> plan_file_on(const gguf::File& file, const SessionShape& shape, const Backend& backend,
                                uint64_t keep_free_bytes) {
    const auto in_file = [&](Error error) { return fail_in(file.path().string(), std::move(error)); };
    auto found = resolve_on(file, backend);
    if (!found) return in_file(std::move(found).error());
    auto plan = plan_on(*found, shape, backend, keep_free_bytes);
    if (!plan) return in_file(std::move(plan).error());
    return plan;
}

Result<void> check_model_file(const gguf::File& file) {
    SessionShape smallest;
    smallest.n_ctx = smallest.n_batch = 1;
    const auto plan = plan_file(file, smallest);
    if (plan || plan.error().code == ErrorCode::unsupported) return {};
    return fail_in(in_quotes(file.path().string(), 400), plan.error());
}

Result<MemoryPlan> plan_file(const gguf::File& file, const SessionShape& shape) {
    ATLAS_TRY(const Resolution found, resolve(file, [](Format) { return true; }));
    return plan_memory({found.config, found.weights, found.architecture->forward}, shape);
}

}  // namespace atlas
