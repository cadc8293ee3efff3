"""Carrying out the trainings that a command asks for, one after the other."""

import gc
import itertools

from pipeline import processes
from pipeline.errors import UserError
from pipeline.learning import devices, image_sets, training
from pipeline.learning.features import FeatureStore
from pipeline.learning.preprocessing import Preprocessing
from pipeline.learning.runs import Run
from pipeline.locks import only_one


def train_all(runs, device, command_line, resume, overwrite):
    """Train every PlannedRun; return the hyperparameters of the finished ones, and a line for each that failed.

    A run that fails (because it diverges, or its architecture cannot take the images) does not stop the others. But a
    single run raises its UserError, and so does one in several processes, since the other processes would wait. The
    other arguments are those of training.train.
    """
    finished, failed, store = [], [], FeatureStore()

    def images_of(run):
        return run.fold, Preprocessing(*run.config.image_shape, run.config.keep_color)

    runs = [Run.on(run, device) for run in runs]
    for (fold, preprocessing), sharing in itertools.groupby(runs, key=images_of):
        sharing = list(sharing)
        with devices.memory_shortage_named(1, preprocessing.image_shape):
            data = image_sets.load_training_data(sharing[0].project, fold, preprocessing, device)
        for run in sharing:
            if len(runs) > 1:
                print(f"\nrun {len(finished) + len(failed) + 1} of {len(runs)}: {run.name}")
            try:
                shortage = devices.memory_shortage_named(run.config.batch_size, run.config.image_shape)
                with only_one(run.lock, run.model), shortage:
                    finished.append(training.train(run, data, command_line, resume, overwrite, store))
            except UserError as error:
                if len(runs) == 1 or processes.count() > 1:
                    raise
                print(f"failed: {'; '.join(error.faults)}")
                failed.append(f"{run.name}: {'; '.join(error.faults)}")
            # A training has reference cycles (its schedule wraps its optimizer), which hold hundreds of megabytes.
            gc.collect()
        del data  # makes room for the next images
    return finished, failed
