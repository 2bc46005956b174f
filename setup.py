"""One wheel: the packages `segment_lib`, `models` and `jobs`, and the command `seglake`."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
README = HERE / "README.md"
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "segment_lib" / "__init__.py").read_text(encoding="utf-8"))[1]
RUNTIME = [
    "pyspark==4.2.*",
    "delta-spark==4.4.0",  # its jars are resolved by version, so it is the version that was tested
    "pyarrow>=18,<26",  # mlflow asks for it
    "boto3>=1.36",  # conditional put
    "pandas>=2.2,<3",  # PySpark 4.2 warns about pandas 3
    "numpy>=2,<3",
    "scipy>=1.13",
    "threadpoolctl>=3.5",
    "mlflow==3.17.*",
    "pydantic>=2.9,<3",
    "typer>=0.15,<1",
    "rich>=13.7",
    "PyYAML>=6.0.2",
    "tzdata>=2025.1",
    "google-re2>=1.1.20240702",
    "sqlglot>=27,<31",
    "jinja2>=3.1.4,<4",
    "requests>=2.32,<3",
    "tenacity>=9,<10",
    "phonenumbers>=9,<10",
    "google-auth>=2.40,<3",  # the login of a service account
    "xlsxwriter>=3.2,<4",
    "altair>=6,<7",
    "vl-convert-python>=1.9,<2",  # the charts' script, so that a page needs no network
]
DEMO = ["lifetimes==0.11.3"]  # only for the CDNOW order log that it ships; never imported
BENCH = ["duckdb>=1.4", "polars>=1.30"]
SFTP = ["paramiko>=4,<6"]
TEST = [
    "pytest>=8.3", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "hypothesis>=6.120", "jsonschema>=4.23",
    "moto[s3,server]>=5.1", "nbclient>=0.10", "nbformat>=5.10", "ipykernel>=6.29", "deltalake>=1.1",
    "aiosmtpd>=1.4.6", "cryptography>=44", "openpyxl>=3.1", "selenium>=4.30",
]


class BuildWithDemo(build_py):
    """Puts the repository's conf, which is the demo shop's, into the wheel as a template."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "segment_lib", "templates", "demo")
            shutil.copytree(HERE / "conf", target, dirs_exist_ok=True)


setup(
    name="seglake",
    version=VERSION,
    description="Customer segmentation as a nightly batch job on a data lake of Delta tables",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    packages=find_packages(include=["segment_lib", "segment_lib.*", "models", "models.*", "jobs", "jobs.*"]),
    package_data={"segment_lib": ["py.typed", "ready/*.yaml", "templates/**/*", "templates/**/.*"]},
    install_requires=RUNTIME,
    extras_require={"demo": DEMO, "bench": BENCH, "sftp": SFTP, "test": TEST + DEMO + BENCH + SFTP},
    cmdclass={"build_py": BuildWithDemo},
    entry_points={"console_scripts": ["seglake = jobs.cli:main"]},
    classifiers=["Programming Language :: Python :: 3", "Operating System :: POSIX", "Private :: Do Not Upload"],
)
