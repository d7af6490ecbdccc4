#pragma once
// The engine of `run --prompts`: how large it is.

#include "runtime/session/batch/engine.h"
#include "tools/open_model.h"
#include "tools/run_batch.h"

namespace atlas::tools {

/// What the steps of the engine hold at most; the model's context is chosen beside it.
SessionShape engine_shape(const BatchFlags& flags, const SpeculationFlags& speculation, size_t n_prompts);

/// An engine for that number of prompts, with as much of a pool and of a draft's pool as the device has room for.
/// Fails: as Engine::create; what loading a draft refuses.
Result<std::unique_ptr<Engine>> make_engine(const OpenModel& open, const BatchFlags& flags,
                                            const SpeculationFlags& speculation, size_t n_prompts);

}  // namespace atlas::tools
